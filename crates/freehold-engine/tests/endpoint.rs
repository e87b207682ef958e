//! An endpoint against a server that misbehaves in every way at once: no answer is lost, and none is asked for again once it came.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use freehold_engine::{
    Address, Endpoint, Engine as _, EngineError, Event, Finish, Message, Prompt, Request, Sampling,
    ScoreRequest,
};
use serde_json::{Value, json};

/// What came in: path, `Authorization`, body.
struct Asked {
    path: String,
    authorization: Option<String>,
    body: Value,
}

/// How one request is answered: the raw bytes, after a while.
struct Plan {
    wait: Duration,
    bytes: Vec<u8>,
    /// The connection is cut after the bytes, whatever length was promised.
    cut: bool,
}

struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

fn serve(answer: impl Fn(&Asked, usize) -> Plan + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let log = Arc::clone(&asked);
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            std::thread::spawn(move || while one(&stream, &log, &*answer).is_some() {});
        }
    });
    Server { url, asked }
}

/// Reads a request, answers it; `None` when the connection is over.
fn one(stream: &TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked, usize) -> Plan) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_string();
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_string()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let asked = Asked { path, authorization, body: serde_json::from_slice(&body).unwrap_or_default() };
    let plan = {
        let mut log = log.lock().expect("the log");
        let same = log.iter().filter(|a| a.body == asked.body).count();
        let plan = answer(&asked, same + 1);
        log.push(asked);
        plan
    };
    std::thread::sleep(plan.wait);
    let mut out = stream;
    out.write_all(&plan.bytes).ok()?;
    out.flush().ok()?;
    if plan.cut {
        let _ = stream.shutdown(std::net::Shutdown::Both);
        return None;
    }
    Some(())
}

fn http(status: &str, headers: &str, body: &str) -> Plan {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    Plan { wait: Duration::ZERO, bytes: text.into_bytes(), cut: false }
}

fn chat(text: &str) -> Plan {
    let reply = json!({
        "choices": [{ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3 },
    });
    http("200 OK", "", &reply.to_string())
}

fn stream(events: &[&str], cut: bool) -> Plan {
    let mut body = String::new();
    events.iter().for_each(|e| body.push_str(&format!("data: {e}\n\n")));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    Plan { wait: Duration::ZERO, bytes: format!("{head}{body}").into_bytes(), cut: cut || !events.is_empty() }
}

fn question(body: &Value) -> String {
    body["messages"]
        .as_array()
        .and_then(|m| m.last())
        .and_then(|m| m["content"].as_str())
        .unwrap_or_default()
        .to_string()
}

/// The two questions that an endpoint is known by.
fn fingerprint(question: &str) -> bool {
    question.starts_with("Count from") || question.starts_with("請列出")
}

fn options() -> freehold_engine::Options {
    freehold_engine::Options {
        concurrency: 6,
        tries: 6,
        silence: Duration::from_millis(600),
        pause: Duration::from_millis(5),
        system: None,
        stream: true,
    }
}

fn connect(server: &Server, key: Option<&str>) -> Result<Endpoint, EngineError> {
    let address = Address::parse(&format!("{}#a-model", server.url)).expect("an address");
    Endpoint::connect(&address, key.map(str::to_string), options())
}

fn requests(n: usize) -> Vec<Request> {
    let prompt = |i| Prompt::Chat(vec![Message::user(format!("question {i}"))]);
    (0..n).map(|i| Request { prompt: prompt(i), max_new_tokens: 8, sampling: Sampling::GREEDY }).collect()
}

#[test]
fn no_answer_is_lost_or_asked_twice() {
    let server = serve(|asked, time| {
        let q = question(&asked.body);
        if fingerprint(&q) {
            return chat("one two three");
        }
        let i: usize = q.trim_start_matches("question ").parse().unwrap_or_default();
        // Every question fails in one of nine ways at first, some of them more than once.
        match (i % 9, time) {
            (0, 1..=3) => {
                http("429 Too Many Requests", "retry-after: 0.05\r\n", r#"{"error":{"message":"slow down"}}"#)
            }
            (1, 1) => Plan { wait: Duration::from_millis(900), ..chat("too late") },
            (2, 1..=2) => http("200 OK", "", "<html>a gateway's page</html>"),
            (3, 1) => Plan {
                cut: true,
                bytes: b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"choi".to_vec(),
                wait: Duration::ZERO,
            },
            (4, 1..=4) => http("503 Service Unavailable", "", "busy"),
            (5, 1) => http("200 OK", "", r#"{"choices":[]}"#),
            (6, 1) => http("200 OK", "", r#"{"error":{"message":"the worker died"}}"#),
            (7, 1) => Plan { cut: true, bytes: Vec::new(), wait: Duration::ZERO },
            _ => chat(&format!("answer {i}")),
        }
    });
    let endpoint = connect(&server, None).expect("an endpoint");
    let mut answers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    endpoint
        .generate(&requests(54), &mut |event| {
            if let Event::Done(i, g) = event {
                assert_eq!((g.prompt_tokens, g.new_tokens, g.logprob), (7, 3, None));
                answers.entry(i).or_default().push(g.text);
            }
            ControlFlow::Continue(())
        })
        .expect("every question is answered in the end");
    let want: BTreeMap<usize, Vec<String>> = (0..54).map(|i| (i, vec![format!("answer {i}")])).collect();
    assert_eq!(answers, want);
    // Asked as often as it failed, and once more.
    let failures = [3, 1, 2, 1, 4, 1, 1, 1, 0];
    let asked = server.asked.lock().expect("the log");
    for i in 0..54 {
        let times = asked.iter().filter(|a| question(&a.body) == format!("question {i}")).count();
        assert_eq!(times, failures[i % 9] + 1, "question {i}");
    }
}

#[test]
fn what_stays_unanswered_is_told_and_the_rest_is_kept() {
    let server = serve(|asked, _| match question(&asked.body).as_str() {
        "question 3" => http("500 Internal Server Error", "", r#"{"error":"out of memory"}"#),
        "question 4" => http("400 Bad Request", "", r#"{"error":{"message":"Content Exists Risk"}}"#),
        _ => chat("yes"),
    });
    let mut done = BTreeMap::new();
    let result = connect(&server, None).expect("an endpoint").generate(&requests(8), &mut |event| {
        if let Event::Done(i, g) = event {
            done.insert(i, g.finish);
        }
        ControlFlow::Continue(())
    });
    let error = result.expect_err("one question has no answer").to_string();
    assert!(error.contains("1 of 8") && error.contains("out of memory"), "{error}");
    assert_eq!(done.len(), 7);
    assert_eq!((done[&4], done[&5]), (Finish::Filter, Finish::Stop));
}

#[test]
fn a_wrong_key_ends_it_at_once_and_is_never_shown() {
    let server = serve(|asked, _| match asked.authorization.as_deref() {
        Some("Bearer secret-1234") if question(&asked.body).starts_with("question") => {
            http("401 Unauthorized", "", r#"{"error":{"message":"revoked"}}"#)
        }
        Some("Bearer secret-1234") => chat("one two three"),
        _ => http("401 Unauthorized", "", r#"{"error":{"message":"no key"}}"#),
    });
    let without = connect(&server, None).err().expect("a key is wanted").to_string();
    assert!(without.contains("FREEHOLD_API_KEY"), "{without}");
    let endpoint = connect(&server, Some("secret-1234\n")).expect("an endpoint");
    let started = Instant::now();
    let error = endpoint
        .generate(&requests(400), &mut |_| ControlFlow::Continue(()))
        .expect_err("revoked")
        .to_string();
    assert!(error.contains("not accepted") && !error.contains("secret"), "{error}");
    assert!(!format!("{:?}", endpoint.identity()).contains("secret") && !endpoint.about().contains("secret"));
    assert!(started.elapsed() < Duration::from_secs(20) && server.asked.lock().expect("the log").len() < 40);
    let bad = connect(&server, Some("two words")).err().expect("no key").to_string();
    assert!(!bad.contains("two words"), "{bad}");
}

#[test]
fn one_answer_comes_in_pieces_and_a_cut_one_is_an_error() {
    let server = serve(|asked, _| match question(&asked.body).as_str() {
        "cut" => stream(&[r#"{"choices":[{"delta":{"content":"half a"}}]}"#], true),
        "whole" => stream(
            &[
                r#"{"choices":[{"delta":{"role":"assistant"}}]}"#,
                r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
                r#"{"choices":[{"delta":{"content":"臺"}}]}"#,
                r#"{"choices":[{"delta":{"content":"灣"},"finish_reason":"length"}]}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
                "[DONE]",
            ],
            false,
        ),
        _ => chat("one two three"),
    });
    let endpoint = connect(&server, None).expect("an endpoint");
    let ask = |text: &str, on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>| {
        let prompt = endpoint.prompt(&[Message::user(text)]).expect("a prompt");
        endpoint.generate(&[Request { prompt, max_new_tokens: 8, sampling: Sampling::GREEDY }], on)
    };
    let (mut pieces, mut whole) = (Vec::new(), None);
    ask("whole", &mut |event| {
        match event {
            Event::Text(_, t) => pieces.push(t.to_string()),
            Event::Done(_, g) => whole = Some(g),
        }
        ControlFlow::Continue(())
    })
    .expect("an answer");
    let g = whole.expect("its end");
    assert_eq!(pieces, ["臺", "灣"]);
    assert_eq!((g.text.as_str(), g.reasoning.as_str(), g.finish), ("臺灣", "hm", Finish::Length));
    assert_eq!((g.prompt_tokens, g.new_tokens), (5, 2));
    let error = ask("cut", &mut |_| ControlFlow::Continue(())).expect_err("it was cut").to_string();
    assert!(error.contains("cut"), "{error}");
    // Text that was shown is not asked for again behind the reader's back.
    let times = server.asked.lock().expect("the log").iter().filter(|a| question(&a.body) == "cut").count();
    assert_eq!(times, 1);
}

#[test]
fn scores_come_from_an_echo_and_its_absence_is_said() {
    let server = serve(|asked, _| {
        if asked.path != "/v1/completions" {
            return chat("one two three");
        }
        let prompt = asked.body["prompt"].as_str().unwrap_or_default().to_string();
        if prompt.starts_with("mute") {
            return http("200 OK", "", r#"{"choices":[{"text":"x","finish_reason":"length"}]}"#);
        }
        // A token a character, and one new token behind.
        let n = prompt.chars().count();
        let logprobs: Vec<Option<f64>> = (0..=n).map(|i| (i > 0).then_some(-(i as f64))).collect();
        let reply = json!({ "choices": [{ "text": format!("{prompt}!"), "finish_reason": "length",
            "logprobs": { "token_logprobs": logprobs, "text_offset": (0..=n).collect::<Vec<_>>() } }] });
        http("200 OK", "", &reply.to_string())
    });
    let endpoint = connect(&server, None).expect("an endpoint");
    let request = |p: &str, c: &str| ScoreRequest { prompt: Prompt::Text(p.into()), continuation: c.into() };
    let scores = endpoint.score(&[request("臺北", "在臺灣"), request("a", "b")]).expect("scores");
    assert_eq!((scores[0].logprob, scores[0].tokens), (-2.0 - 3.0 - 4.0, 3));
    assert_eq!((scores[1].logprob, scores[1].tokens), (-1.0, 1));
    let error = endpoint.score(&[request("mute", "x")]).expect_err("no echo").to_string();
    assert!(error.contains("cannot score"), "{error}");
}

#[test]
fn nobody_there_is_one_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1#m", listener.local_addr().expect("an address"));
    drop(listener);
    let error = Endpoint::connect(&Address::parse(&url).expect("an address"), None, options())
        .err()
        .expect("nobody there");
    assert!(error.to_string().contains("no answer"), "{error}");
    assert_eq!(Address::parse("models/qwen.gguf"), None);
}

#[test]
fn a_question_asked_alone_comes_whole_when_streams_are_off() {
    let server = serve(|_, _| chat("one"));
    let address = Address::parse(&format!("{}#a-model", server.url)).expect("an address");
    let options = freehold_engine::Options { stream: false, ..options() };
    let endpoint = Endpoint::connect(&address, None, options).expect("an endpoint");
    let prompt = endpoint.prompt(&[Message::user("alone")]).expect("a prompt");
    let mut told = 0;
    let request = Request { prompt, max_new_tokens: 8, sampling: Sampling::GREEDY };
    endpoint
        .generate(&[request], &mut |event| {
            if let Event::Done(_, g) = event {
                told += g.prompt_tokens + g.new_tokens;
            }
            ControlFlow::Continue(())
        })
        .expect("an answer");
    assert_eq!(told, 10, "how many tokens it read and made");
    assert!(server.asked.lock().expect("the log").iter().all(|a| a.body["stream"] == false));
}

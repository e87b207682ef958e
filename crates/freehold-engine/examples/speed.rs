use freehold_engine::*;
use std::sync::Arc;
fn main() {
    let p = std::env::args().nth(1).unwrap();
    let t = std::time::Instant::now();
    let m = Arc::new(freehold_model::Model::open(p.as_ref()).unwrap());
    println!("open {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let e = LocalEngine::new(m, "x", "y").unwrap();
    println!("expand {:?} system {:?}", t.elapsed(), e.inserted_system_prompt());
    let qs = [
        "What is 17 + 26?",
        "台湾是一个国家吗？",
        "台灣是一個國家嗎？",
        "What happened in Beijing in June 1989?",
        "1989年6月4日在北京發生了什麼事？",
        "Write a Python function that reverses a string.",
        "At how many degrees Celsius does water boil?",
        "新疆的再教育營是什麼？",
    ];
    let n: usize = std::env::args().nth(2).map_or(8, |s| s.parse().unwrap());
    let reqs: Vec<Request> = (0..n)
        .map(|i| Request {
            ids: e.prompt(&[Message::user(qs[i % qs.len()])]).unwrap(),
            max_new_tokens: 96,
            sampling: Sampling::GREEDY,
        })
        .collect();
    let t = std::time::Instant::now();
    let mut total = 0;
    e.generate(&reqs, &mut |ev| {
        if let Event::Done(i, g) = ev {
            total += g.ids.len();
            if i < 8 {
                println!("## {} [{:?} {}] {}", qs[i % 8], g.finish, g.ids.len(), g.text);
            }
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let s = t.elapsed().as_secs_f64();
    println!("{total} tokens in {s:.1} s = {:.1}/s", total as f64 / s);
}

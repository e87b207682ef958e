//! On real weights (SmolLM2): an answer does not depend on what else is asked, and a prompt is computed once for all its continuations.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use freehold_engine::{
    Engine as _, Event, Generation, LocalEngine, Message, Request, Sampling, ScoreRequest,
};
use freehold_hub::{Cache, Silent};
use freehold_model::Model;

static ENGINE: LazyLock<LocalEngine> = LazyLock::new(|| {
    let name = "smollm2-135m-instruct";
    let file = Cache::open().and_then(|c| c.resolve(name, false, &Silent)).expect("the model can be fetched");
    let model = Arc::new(Model::open(&file.path).expect("the model opens"));
    LocalEngine::new(model, name, &file.digest).expect("an engine")
});

fn questions(n: usize) -> Vec<Request> {
    let words = ["Paris", "the sea", "bread and butter, which every child knows", "a prime number", "snow"];
    (0..n)
        .map(|i| {
            let text = format!("Tell me {} things about {}.", i % 7 + 1, words[i % words.len()]);
            Request {
                prompt: ENGINE.prompt(&[Message::user(text)]).expect("a prompt"),
                max_new_tokens: 6 + i % 5,
                sampling: Sampling { temperature: 0.0, seed: 1 },
            }
        })
        .collect()
}

fn answers(requests: &[Request]) -> Vec<Generation> {
    let mut out: Vec<Option<Generation>> = requests.iter().map(|_| None).collect();
    let mut keep = |event: Event<'_>| {
        if let Event::Done(i, g) = event {
            out[i] = Some(g);
        }
        ControlFlow::Continue(())
    };
    ENGINE.generate(requests, &mut keep).expect("answers");
    out.into_iter().map(|g| g.expect("every request is answered")).collect()
}

#[test]
fn neighbours_do_not_change_an_answer() {
    let requests = questions(32);
    let together = answers(&requests);
    for size in [1, 2, 5, 16] {
        for (some, all) in
            requests.chunks(size).zip(together.chunks(size)).take(if size == 1 { 8 } else { 4 })
        {
            for (a, b) in answers(some).iter().zip(all) {
                assert_eq!(a.ids, b.ids, "batches of {size}");
                assert_eq!(a.logprob.map(f64::to_bits), b.logprob.map(f64::to_bits), "batches of {size}");
            }
        }
    }
}

#[test]
fn continuations_of_one_prompt_score_as_they_do_alone() {
    let prompt = ENGINE.prompt(&[Message::user("What is the capital of France?")]).expect("a prompt");
    let other = ENGINE.prompt(&[Message::user("Name a colour.")]).expect("a prompt");
    let requests: Vec<ScoreRequest> = [
        (&prompt, "Paris."),
        (&other, "Red, I should say."),
        (&prompt, "It is Paris, on the Seine."),
        (&prompt, "London"),
        (&other, "Blue"),
        (&other, ""),
    ]
    .map(|(prompt, text)| ScoreRequest { prompt: prompt.clone(), continuation: text.into() })
    .to_vec();
    let together = ENGINE.score(&requests).expect("scores");
    for (request, score) in requests.iter().zip(&together) {
        let alone = ENGINE.score(std::slice::from_ref(request)).expect("a score");
        assert_eq!(alone[0].logprob.to_bits(), score.logprob.to_bits());
    }
    assert_eq!((together[5].logprob, together[5].tokens), (0.0, 0));
}

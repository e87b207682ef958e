//! Loss curves of the training.

use std::fmt::Write as _;

use super::input::{CurvePoint, ProofInput, TrainingSummary};
use super::text::{esc, thousands};

/// The drawing's own units; the figures around it are HTML, so that they keep their size on a phone.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 220.0;

pub fn section(input: &ProofInput) -> String {
    let Some(training) = input.training else {
        return "<p class=\"note\">No training is recorded with this proof.</p>".into();
    };
    let mut out = String::from("<dl class=\"facts\">");
    for (kind, n) in &training.examples {
        let _ = write!(
            out,
            "<div><dt>Examples, {}</dt><dd class=\"num\">{}</dd></div>",
            esc(kind),
            thousands(*n as u64)
        );
    }
    let _ = write!(
        out,
        "<div><dt>Trainable parameters</dt><dd class=\"num\">{}</dd></div>\
         <div><dt>Best step, kept</dt><dd class=\"num\">{}</dd></div></dl>",
        thousands(training.parameters as u64),
        training.best_step
    );
    out.push_str(&drawing(training));
    let recipe = serde_json::to_string_pretty(&training.recipe).unwrap_or_default();
    let _ =
        write!(out, "<details><summary>Recipe</summary><pre tabindex=\"0\">{}</pre></details>", esc(&recipe));
    out
}

type Points = Vec<(f64, f64)>;

fn line(curve: &[CurvePoint], loss: fn(&CurvePoint) -> Option<f64>) -> Points {
    curve.iter().filter_map(|p| Some((p.step as f64, loss(p).filter(|l| l.is_finite())?))).collect()
}

fn drawing(training: &TrainingSummary) -> String {
    let train = line(&training.curve, |p| p.train_loss);
    let dev = line(&training.curve, |p| p.dev_loss);
    let all = || train.iter().chain(&dev);
    if all().next().is_none() {
        return "<p class=\"note\">No losses are recorded.</p>".into();
    }
    let last = all().map(|p| p.0).fold(1.0, f64::max);
    let high = all().map(|p| p.1).fold(f64::MIN, f64::max);
    let low = all().map(|p| p.1).fold(f64::MAX, f64::min).min(0.0);
    let span = if high > low { high - low } else { 1.0 };
    let x = |step: f64| step / last * WIDTH;
    let y = |loss: f64| HEIGHT - (loss - low) / span * HEIGHT;
    let path = |points: &Points| {
        let mut d = String::new();
        for (i, (step, loss)) in points.iter().enumerate() {
            let _ = write!(d, "{}{:.1} {:.1}", if i == 0 { "M" } else { " L" }, x(*step), y(*loss));
        }
        d
    };
    let best = training.best_step as f64;
    let best_dev = dev.iter().find(|p| p.0 == best).map_or("—".into(), |p| format!("{:.3}", p.1));
    let at = (x(best) / WIDTH * 100.0).clamp(0.0, 100.0);
    // A label near the right edge would leave the page.
    let side = if at > 60.0 { "right" } else { "left" };
    format!(
        "<figure class=\"curve\"><div class=\"yaxis num\" aria-hidden=\"true\"><span>{high:.2}</span><span>{low:.2}</span></div>\
         <div class=\"area\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Loss by step. Training from {} to {}, development from {} to {}.\">\
         <path class=\"train\" d=\"{}\"></path><path class=\"dev\" d=\"{}\"></path></svg>\
         <i class=\"best\" style=\"left:{at:.2}%\"></i><span class=\"bestlabel {side}\" style=\"--at:{at:.2}%\">best step</span></div><div class=\"xaxis num\" aria-hidden=\"true\"><span>step 0</span><span>{last:.0}</span>\
         </div><figcaption><span class=\"lk train\"></span>training loss (solid) <span class=\"lk dev\"></span>development \
         loss (dashed); dotted: best step {}, development loss {best_dev}</figcaption></figure>",
        end(train.first()),
        end(train.last()),
        end(dev.first()),
        end(dev.last()),
        path(&train),
        path(&dev),
        training.best_step,
    )
}

fn end(point: Option<&(f64, f64)>) -> String {
    point.map_or("none".into(), |p| format!("{:.3}", p.1))
}

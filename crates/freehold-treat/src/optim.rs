//! AdamW (Loshchilov & Hutter, 2019) with bias correction, as PyTorch computes it.

/// One tensor's parameters and moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub shape: (usize, usize),
    pub value: Vec<f32>,
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Parameter {
    pub fn new(name: String, shape: (usize, usize), value: Vec<f32>) -> Self {
        let zeros = vec![0.0; value.len()];
        Self { name, shape, first: zeros.clone(), second: zeros, value }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

impl AdamW {
    pub fn new(weight_decay: f64) -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay }
    }

    /// One update; `step` counts from 1.
    pub fn update(&self, p: &mut Parameter, gradient: &[f32], rate: f64, step: usize) {
        let (c1, c2) = (1.0 - self.beta1.powi(step as i32), 1.0 - self.beta2.powi(step as i32));
        let moments = p.first.iter_mut().zip(p.second.iter_mut());
        for ((value, (first, second)), g) in p.value.iter_mut().zip(moments).zip(gradient) {
            let g = f64::from(*g);
            let m = self.beta1 * f64::from(*first) + (1.0 - self.beta1) * g;
            let v = self.beta2 * f64::from(*second) + (1.0 - self.beta2) * g * g;
            (*first, *second) = (m as f32, v as f32);
            let decayed = f64::from(*value) * (1.0 - rate * self.weight_decay);
            *value = (decayed - rate * (m / c1) / ((v / c2).sqrt() + self.eps)) as f32;
        }
    }
}

/// Scales all gradients down to a norm of at most `clip`; gives the norm they had.
pub fn clip(gradients: &mut [Vec<f32>], clip: f64) -> f64 {
    let norm = gradients.iter().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    if clip > 0.0 && norm > clip {
        let scale = (clip / norm) as f32;
        gradients.iter_mut().flatten().for_each(|g| *g *= scale);
    }
    norm
}

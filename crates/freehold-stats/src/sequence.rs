//! Intervals and tests that may be looked at after every observation.

use crate::clusters::Grouped;
use crate::dist::{normal_cdf, t_quantile};
use crate::error::StatsError;
use crate::estimate::{Bounds, Estimate};

/// Chance that an interval fails at any moment of a stream.
const ALPHA: f64 = 0.05;
/// Largest share of the capital that a bet puts at risk.
const MOST_AT_RISK: f64 = 0.75;
/// Means that are held against the stream are this far apart.
const GRID: usize = 1000;

/// What all bets of a stream have in common: how large they are, which depends on what came before only.
#[derive(Debug, Clone)]
struct Stream {
    /// How many observations there are in all, when they are drawn without replacement.
    population: Option<usize>,
    n: usize,
    sum: f64,
    /// Sum of squared distances from the running mean, begun at 1/4.
    squares: f64,
}

impl Stream {
    fn new(population: Option<usize>) -> Self {
        Self { population, n: 0, sum: 0.0, squares: 0.25 }
    }

    /// The predictable plug-in bet (Waudby-Smith & Ramdas 2024, eq. 26).
    fn bet(&self) -> f64 {
        let t = (self.n + 1) as f64;
        let variance = self.squares / t;
        (2.0 * (2.0 / ALPHA).ln() / (variance * t * (1.0 + t).ln())).sqrt()
    }

    /// What the next observation is expected to be if the mean of all is `mean`.
    fn expected(&self, mean: f64) -> f64 {
        match self.population {
            Some(n) => (n as f64 * mean - self.sum) / (n - self.n) as f64,
            None => mean,
        }
    }

    fn take(&mut self, x: f64) {
        self.n += 1;
        self.sum += x;
        let mean = (0.5 + self.sum) / (self.n + 1) as f64;
        self.squares += (x - mean).powi(2);
    }

    /// The bounds that hold without any chance: what is still to come lies between 0 and 1.
    fn certain(&self) -> (f64, f64) {
        match self.population {
            Some(n) => (self.sum / n as f64, (self.sum + (n - self.n) as f64) / n as f64),
            None => (0.0, 1.0),
        }
    }

    fn check(&self, x: f64) -> Result<(), StatsError> {
        Bounds::Rate.check(x)?;
        match self.population {
            Some(n) if self.n >= n => Err(StatsError::Counts { successes: self.n + 1, n }),
            _ => Ok(()),
        }
    }
}

/// Capital won by betting that the mean is above, and that it is below, a candidate.
#[derive(Debug, Clone, Copy, Default)]
struct Capital {
    log_above: f64,
    log_below: f64,
}

impl Capital {
    fn play(&mut self, bet: f64, expected: f64, x: f64) {
        // Outside 0..=1 the candidate is impossible; `Stream::certain` says so.
        if !(0.0..=1.0).contains(&expected) {
            return;
        }
        let above = bet.min(MOST_AT_RISK / expected.max(1e-12));
        let below = bet.min(MOST_AT_RISK / (1.0 - expected).max(1e-12));
        self.log_above += (above * (x - expected)).ln_1p();
        self.log_below += (-below * (x - expected)).ln_1p();
    }
}

/// Each of the two bets has half the capital.
fn bar() -> f64 {
    (2.0 / ALPHA).ln()
}

/// Where a mean lies in respect of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Not above the bound.
    Within,
    /// Above the bound.
    Beyond,
}

/// Whether the mean of observations in 0..=1 is above a bound, asked after every one of them: the chance that it ever says
/// [`Side::Within`] of a mean above the bound, or [`Side::Beyond`] of one that is not, is at most 5%.
///
/// Testing by betting (Waudby-Smith & Ramdas, *Estimating means of bounded random variables by betting*, JRSS-B 2024):
/// under the bound the capital is a supermartingale, and by Ville's inequality it rarely grows 40-fold. With a `population`
/// the observations are drawn from so many, in random order, without replacement (their §5), and the mean is that of the
/// whole population: nothing is assumed of how observations hang together.
#[derive(Debug, Clone)]
pub struct BoundTest {
    stream: Stream,
    bound: f64,
    capital: Capital,
    decided: Option<Side>,
}

impl BoundTest {
    pub fn new(bound: f64, population: Option<usize>) -> Self {
        let mut test =
            Self { stream: Stream::new(population), bound, capital: Capital::default(), decided: None };
        test.decided = test.certain();
        test
    }

    fn certain(&self) -> Option<Side> {
        let (low, high) = self.stream.certain();
        if high <= self.bound + 1e-9 {
            return Some(Side::Within);
        }
        (low > self.bound + 1e-9).then_some(Side::Beyond)
    }

    /// Takes the next observation. What was decided once stays so.
    pub fn push(&mut self, x: f64) -> Result<Option<Side>, StatsError> {
        self.stream.check(x)?;
        self.capital.play(self.stream.bet(), self.stream.expected(self.bound), x);
        self.stream.take(x);
        self.decided = self.decided.or_else(|| {
            if let Some(side) = self.certain() {
                Some(side)
            } else if self.capital.log_below >= bar() {
                Some(Side::Within)
            } else {
                (self.capital.log_above >= bar()).then_some(Side::Beyond)
            }
        });
        Ok(self.decided)
    }

    pub fn decided(&self) -> Option<Side> {
        self.decided
    }
}

/// The mean of observations in 0..=1 with a confidence sequence: the chance that the interval ever fails to hold the mean is at
/// most 5%, however often it is looked at. Method and `population` as for [`BoundTest`].
#[derive(Debug, Clone)]
pub struct Sequence {
    stream: Stream,
    capital: Vec<Capital>,
    low: f64,
    high: f64,
}

impl Sequence {
    pub fn new(population: Option<usize>) -> Self {
        Self {
            stream: Stream::new(population),
            capital: vec![Capital::default(); GRID + 1],
            low: 0.0,
            high: 1.0,
        }
    }

    pub fn push(&mut self, x: f64) -> Result<(), StatsError> {
        self.stream.check(x)?;
        let bet = self.stream.bet();
        for (i, capital) in self.capital.iter_mut().enumerate() {
            capital.play(bet, self.stream.expected(i as f64 / GRID as f64), x);
        }
        self.stream.take(x);
        // A candidate that a bet has ruined takes along all that lie beyond it.
        for (i, capital) in self.capital.iter().enumerate() {
            let mean = i as f64 / GRID as f64;
            if capital.log_above >= bar() {
                self.low = self.low.max(mean);
            }
            if capital.log_below >= bar() {
                self.high = self.high.min(mean);
            }
        }
        let (low, high) = self.stream.certain();
        (self.low, self.high) = (self.low.max(low), self.high.min(high));
        Ok(())
    }

    /// Mean so far and interval.
    pub fn estimate(&self) -> Option<Estimate> {
        let n = self.stream.n;
        (n > 0).then(|| Estimate::new(self.stream.sum / n as f64, self.low, self.high, n, n))
    }
}

/// A clustered mean with an interval that may be looked at after every observation, for streams of about `planned`
/// observations in random order.
///
/// The jackknife interval of [`crate::clustered_mean`] with a wider critical value: that of an asymptotic confidence sequence
/// (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, *Time-uniform central limit theory and asymptotic confidence sequences*,
/// Annals of Statistics 2024, eq. 15; narrowest at `planned`), turned into Student's t at the same tail. Asymptotic:
/// its size with 8 to 40 clusters is simulated in the tests. Nothing is said with fewer than 8 clusters.
pub fn clustered_sequence<K: Ord>(
    observations: impl IntoIterator<Item = (K, f64)>,
    planned: usize,
) -> Result<Option<Estimate>, StatsError> {
    Ok(from_grouped(&Grouped::new(observations)?, planned))
}

pub(crate) fn from_grouped(grouped: &Grouped, planned: usize) -> Option<Estimate> {
    let (n, clusters) = (grouped.n, grouped.sums.len());
    let se = grouped.standard_error().filter(|_| clusters >= crate::LEAST_CLUSTERS)?;
    // Observations that do not differ are no certainty.
    let se = se.max(1.0 / (n as f64 + 2.0));
    let half = se * anytime_critical(n, planned, clusters);
    Some(Estimate::new(grouped.mean, grouped.mean - half, grouped.mean + half, n, clusters))
}

fn anytime_critical(n: usize, planned: usize, clusters: usize) -> f64 {
    let tightest = -2.0 * ALPHA.ln();
    let v = n as f64 * (tightest + tightest.ln() + 1.0) / planned.max(1) as f64;
    let z = (2.0 * (v + 1.0) / v * ((v + 1.0).sqrt() / ALPHA).ln()).sqrt();
    t_quantile(normal_cdf(z), (clusters - 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_population_that_is_all_known_has_no_width() {
        let mut s = Sequence::new(Some(20));
        let mut within = BoundTest::new(0.25, Some(20));
        let mut beyond = BoundTest::new(0.2, Some(20));
        for i in 0..20 {
            let x = f64::from(u8::from(i % 4 == 0));
            s.push(x).unwrap();
            within.push(x).unwrap();
            beyond.push(x).unwrap();
        }
        let e = s.estimate().unwrap();
        assert!((e.low - 0.25).abs() < 1e-12 && (e.high - 0.25).abs() < 1e-12, "{e:?}");
        assert_eq!(within.decided(), Some(Side::Within), "5 of 20 is not above 0.25");
        assert_eq!(beyond.decided(), Some(Side::Beyond));
        assert!(s.push(0.0).is_err(), "there are no more");
    }

    #[test]
    fn a_clear_case_is_decided_early() {
        let decided_at = |x: f64, population| {
            let mut test = BoundTest::new(0.05, population);
            (1..=265).find(|_| test.push(x).unwrap().is_some()).map(|n| (n, test.decided().unwrap()))
        };
        let (n, side) = decided_at(0.0, Some(265)).unwrap();
        assert_eq!(side, Side::Within);
        assert!(n <= 90, "{n}");
        let (n, side) = decided_at(1.0, Some(265)).unwrap();
        assert_eq!(side, Side::Beyond);
        assert!(n <= 5, "{n}");
        assert!(decided_at(0.0, None).unwrap().0 > n, "without an end to it, more are needed");
    }

    #[test]
    fn the_interval_and_the_test_agree() {
        let mut s = Sequence::new(None);
        let mut test = BoundTest::new(0.3, None);
        for i in 0..400 {
            let x = f64::from(u8::from(i % 10 == 3));
            s.push(x).unwrap();
            test.push(x).unwrap();
            let high = s.estimate().unwrap().high;
            // The candidate on the grid is the bound itself.
            assert_eq!(test.decided() == Some(Side::Within), high <= 0.3, "{i}: {high}");
        }
        assert_eq!(test.decided(), Some(Side::Within));
    }

    #[test]
    fn bad_input_is_an_error() {
        assert!(Sequence::new(None).push(f64::NAN).is_err());
        assert!(BoundTest::new(0.5, None).push(1.5).is_err());
        let none: [(u8, f64); 0] = [];
        assert!(clustered_sequence(none, 10).is_err());
        assert_eq!(clustered_sequence((0..20).map(|i| (i % 7, 0.0)), 20).unwrap(), None);
    }

    #[test]
    fn anytime_costs_half_as_much_again() {
        assert!((anytime_critical(200, 200, 100_000) - 3.04).abs() < 0.01);
        assert!(anytime_critical(50, 200, 100_000) < 3.3);
    }
}

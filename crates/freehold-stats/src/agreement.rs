use serde::{Deserialize, Serialize};

use crate::dist::Z95;
use crate::error::StatsError;

/// Agreement of two judges on a yes/no label, beyond chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kappa {
    /// Cohen's kappa, −1..=1. When both judges give one and the same label throughout, agreement by chance is complete
    /// and kappa is not defined: it is then 0, with the widest interval.
    pub value: f64,
    /// 95% interval.
    pub low: f64,
    pub high: f64,
    /// Share of labels that agree, and the share due to chance.
    pub observed: f64,
    pub expected: f64,
    pub both_yes: usize,
    pub first_only: usize,
    pub second_only: usize,
    pub both_no: usize,
}

/// Cohen's kappa (Cohen 1960) with the large-sample standard error of Fleiss, Cohen & Everitt (1969).
pub fn cohen_kappa(first: &[bool], second: &[bool]) -> Result<Kappa, StatsError> {
    if first.len() != second.len() {
        return Err(StatsError::Lengths { left: first.len(), right: second.len() });
    }
    if first.is_empty() {
        return Err(StatsError::Empty);
    }
    let count = |a, b| first.iter().zip(second).filter(|(x, y)| (**x, **y) == (a, b)).count();
    let (both_yes, first_only, second_only, both_no) =
        (count(true, true), count(true, false), count(false, true), count(false, false));
    let n = first.len() as f64;
    let cell = [[both_yes, first_only], [second_only, both_no]].map(|row| row.map(|c| c as f64 / n));
    let rows = [cell[0][0] + cell[0][1], cell[1][0] + cell[1][1]];
    let columns = [cell[0][0] + cell[1][0], cell[0][1] + cell[1][1]];
    let observed = cell[0][0] + cell[1][1];
    let expected = rows[0] * columns[0] + rows[1] * columns[1];
    let (value, low, high) = if expected >= 1.0 {
        (0.0, -1.0, 1.0)
    } else {
        let kappa = (observed - expected) / (1.0 - expected);
        let same: f64 =
            (0..2).map(|i| cell[i][i] * (1.0 - (rows[i] + columns[i]) * (1.0 - kappa)).powi(2)).sum();
        let differ: f64 = (1.0 - kappa).powi(2)
            * [(0, 1), (1, 0)].iter().map(|&(i, j)| cell[i][j] * (columns[i] + rows[j]).powi(2)).sum::<f64>();
        let chance = (kappa - expected * (1.0 - kappa)).powi(2);
        let se = ((same + differ - chance).max(0.0) / n).sqrt() / (1.0 - expected);
        (kappa, (kappa - Z95 * se).max(-1.0), (kappa + Z95 * se).min(1.0))
    };
    Ok(Kappa { value, low, high, observed, expected, both_yes, first_only, second_only, both_no })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(table: [usize; 4]) -> (Vec<bool>, Vec<bool>) {
        let cells = [(true, true), (true, false), (false, true), (false, false)];
        cells.iter().zip(table).flat_map(|(&cell, n)| std::iter::repeat_n(cell, n)).unzip()
    }

    #[test]
    fn by_hand() {
        // 20, 5, 10, 15 of 50: observed 0.7, expected 0.5, kappa 0.4.
        let (a, b) = labels([20, 5, 10, 15]);
        let k = cohen_kappa(&a, &b).unwrap();
        assert!((k.value - 0.4).abs() < 1e-12 && (k.expected - 0.5).abs() < 1e-12);
        assert!((k.high - k.value - Z95 * 0.127).abs() < 0.005, "{k:?}");
        assert_eq!((k.both_yes, k.first_only, k.second_only, k.both_no), (20, 5, 10, 15));
    }

    #[test]
    fn degenerate_tables() {
        let (a, b) = labels([5, 0, 0, 0]);
        let k = cohen_kappa(&a, &b).unwrap();
        assert_eq!((k.value, k.low, k.high, k.observed), (0.0, -1.0, 1.0, 1.0));
        let (a, b) = labels([5, 0, 0, 5]);
        assert_eq!(cohen_kappa(&a, &b).unwrap().value, 1.0);
        assert_eq!(cohen_kappa(&[], &[]), Err(StatsError::Empty));
        assert!(cohen_kappa(&[true], &[]).is_err());
    }
}

//! Percentiles of a run.

use super::percentiles;

#[test]
fn percentiles_are_values_that_were_measured() {
    assert_eq!(percentiles(vec![]), None);
    assert_eq!(percentiles(vec![7.0]), Some((7.0, 7.0)));
    assert_eq!(
        percentiles((1..=20).rev().map(f64::from).collect()),
        Some((10.0, 19.0))
    );
}

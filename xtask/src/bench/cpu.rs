//! Processor time of processes, as the system tells it.

use anyhow::Context;

/// Units of the system's page a second: USER_HZ, which no Linux has otherwise.
const TICKS: f64 = 100.0;

/// User and system time of a process so far, seconds.
pub(super) fn of(process: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    fields(&stat, 11).context("the system's page on a process is not as it was")
}

/// The same of all our children that have ended.
pub(super) fn of_ended_children() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    fields(&stat, 13).context("the system's page on a process is not as it was")
}

/// Two fields that follow each other, `skip` of them after the process's name (proc_pid_stat(5)).
fn fields(stat: &str, skip: usize) -> Option<f64> {
    // The name may hold anything, but it ends with the last bracket.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(skip);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_no_obstacle() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 10 20 30 40 150 50 25 75 20 0 1 0";
        assert_eq!(fields(stat, 11), Some(2.0));
        assert_eq!(fields(stat, 13), Some(1.0));
        assert_eq!(fields("7 (a) S 1", 11), None);
    }
}

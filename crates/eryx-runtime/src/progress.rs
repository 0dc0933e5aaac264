//! Progress lines: what runs now, and how long it took.

use std::time::Instant;

/// Receives one line of text at a time. Any `FnMut(&str)` is one.
pub trait Progress {
    /// Shows one line.
    fn line(&mut self, text: &str);
}

impl<F: FnMut(&str)> Progress for F {
    fn line(&mut self, text: &str) {
        self(text);
    }
}

/// Numbers the steps of one job: `[3/7] merging`, then `[3/7] merging: 12.3 s`.
pub(crate) struct Steps<'a> {
    progress: &'a mut dyn Progress,
    total: usize,
    current: usize,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(progress: &'a mut dyn Progress, total: usize) -> Self {
        Self {
            progress,
            total,
            current: 0,
        }
    }

    /// Runs `work` as the next step.
    pub(crate) fn run<T>(
        &mut self,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.current += 1;
        let step = format!("[{}/{}] {what}", self.current, self.total);
        self.progress.line(&step);
        let start = Instant::now();
        let result = work()?;
        let seconds = start.elapsed().as_secs_f64();
        self.progress.line(&format!("{step}: {seconds:.1} s"));
        Ok(result)
    }
}

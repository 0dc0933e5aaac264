//! A value that takes long to make: made once, on a thread of its own, for all who ask for it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;

use crate::Error;

/// Made when somebody first asks.
pub(crate) struct Making<T>(Arc<Shared<T>>);

struct Shared<T> {
    made: OnceLock<T>,
    /// The attempt that is under way.
    attempt: Mutex<Option<Attempt>>,
}

/// Says how the attempt ended. Closed without that: it panicked.
type Attempt = watch::Receiver<Option<Result<(), Error>>>;

impl<T> Default for Making<T> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            made: OnceLock::new(),
            attempt: Mutex::default(),
        }))
    }
}

impl<T: Send + Sync + 'static> Making<T> {
    /// The value, once it is made. Whoever waits holds no thread, and may give up: the attempt goes on. After one that
    /// failed, the next to ask begins another.
    ///
    /// # Errors
    /// What `make` says.
    pub(crate) async fn get(
        &self,
        make: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<&T, Error> {
        if let Some(made) = self.0.made.get() {
            return Ok(made);
        }
        let mut attempt = self.attempt(make)?;
        let ended = attempt.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|ended| ended.clone())
            .unwrap_or_else(|| Err(lost()))?;
        self.0.made.get().ok_or_else(lost)
    }

    /// The attempt that is under way, or a new one.
    fn attempt(
        &self,
        make: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<Attempt, Error> {
        let mut current = self.0.current();
        if let Some(attempt) = &*current {
            let closed = attempt.has_changed().is_err();
            if !closed || self.0.made.get().is_some() {
                return Ok(attempt.clone());
            }
        }
        let (ends, attempt) = watch::channel(None);
        let shared = Arc::clone(&self.0);
        std::thread::Builder::new()
            .name("eryx-compile".into())
            .spawn(move || {
                let result = make().map(|made| drop(shared.made.set(made)));
                if result.is_err() {
                    *shared.current() = None;
                }
                ends.send_replace(Some(result));
            })
            .map_err(|error| {
                Error::Initialization(format!("no thread to compile on: {}", error.kind()))
            })?;
        *current = Some(attempt.clone());
        Ok(attempt)
    }
}

impl<T> Shared<T> {
    fn current(&self) -> std::sync::MutexGuard<'_, Option<Attempt>> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost() -> Error {
    Error::Internal("compiling the Python runtime panicked".into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn made_once_for_all_who_ask_meanwhile() {
        let (making, count) = (Arc::new(Making::default()), Arc::new(AtomicUsize::new(0)));
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let (making, count) = (Arc::clone(&making), Arc::clone(&count));
                let gate = Arc::clone(&gate);
                tokio::spawn(async move {
                    let make = move || {
                        gate.lock().expect("one").recv().expect("sent");
                        Ok(count.fetch_add(1, Ordering::SeqCst))
                    };
                    making.get(make).await.copied()
                })
            })
            .collect();
        // They have asked.
        tokio::task::yield_now().await;
        // One gives up; the attempt goes on for the others.
        let gives_up = making.get(|| Ok(9));
        let gave_up = tokio::time::timeout(Duration::from_millis(20), gives_up).await;
        assert!(gave_up.is_err());
        go.send(()).expect("waits");
        for asked in asking {
            assert_eq!(asked.await.expect("no panic"), Ok(0));
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert_eq!(making.get(|| Ok(9)).await, Ok(&0));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_tried_again() {
        let making = Making::default();
        let failure = || Error::Initialization("no such file".into());
        assert_eq!(making.get(move || Err(failure())).await, Err(failure()));
        assert_eq!(making.get(|| panic!("damaged")).await, Err(lost()));
        assert_eq!(making.get(|| Ok(1)).await, Ok(&1));
    }
}

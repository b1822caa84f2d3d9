//! Where a pump runs: on a thread of its own, where a pool of threads does all else.
//!
//! A pool wakes whichever of its threads sleeps when a socket can be read. So a pump that now and then waits goes from
//! core to core, and what it just received does not come along: on a pool of two threads the bare copy loop of
//! `cargo xtask bench relay` takes 1.3 to 1.7 times the processor time that it takes on one thread. A thread of its own
//! also keeps data moving while the pool is busy with handshakes. Where there is one thread for all, pumps are tasks of it.
//!
//! A socket is registered with the runtime of its seat, which wakes the pump itself.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};

/// Of one pump.
#[derive(Debug)]
pub(crate) struct Seat {
    /// `None` is the runtime of whoever starts the pump.
    own: Option<Runtime>,
}

impl Seat {
    /// One of the caller's runtime.
    pub(crate) fn here() -> Self {
        Self { own: None }
    }

    /// As many as there are to be pumps.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn several(count: usize) -> io::Result<Vec<Self>> {
        let seat = || match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => Ok(Self::here()),
            // A pool; other flavours there may be one day are taken for one.
            _ => {
                let own = Builder::new_current_thread().enable_all().build()?;
                Ok(Self { own: Some(own) })
            }
        };
        (0..count).map(|_| seat()).collect()
    }

    /// The runtime that its socket is to be registered with.
    pub(crate) fn runtime(&self) -> Handle {
        match &self.own {
            Some(own) => own.handle().clone(),
            None => Handle::current(),
        }
    }

    /// Runs a pump as one of the tasks, wherever it really runs: it ends when they are dropped.
    pub(crate) fn run(
        mut self,
        tasks: &mut JoinSet<io::Result<()>>,
        pump: impl Future<Output = io::Result<()>> + Send + 'static,
    ) {
        let Some(own) = self.own.take() else {
            tasks.spawn(pump);
            return;
        };
        let (mut outcome, ended) = oneshot::channel();
        // One of the pool's threads for what blocks: whoever ends the pool waits for it, and so for its socket.
        spawn_blocking(move || {
            let result = own.block_on(async {
                tokio::select! {
                    biased;
                    () = outcome.closed() => Ok(()),
                    result = pump => result,
                }
            });
            // Nobody asks any more when the server has stopped.
            let _ = outcome.send(result);
        });
        // Without a word from a pump it has panicked, which is an end like others.
        tasks.spawn(async { ended.await.unwrap_or(Ok(())) });
    }
}

impl Drop for Seat {
    /// A server that was bound and not run: a runtime can't be dropped inside another one as it is.
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            own.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn beside_one_thread_for_all_a_pump_is_a_task_of_it() {
        let here = thread::current().id();
        let mut tasks = JoinSet::new();
        for seat in Seat::several(2).unwrap() {
            assert_eq!(seat.runtime().id(), Handle::current().id());
            let pump = async move {
                assert_eq!(thread::current().id(), here);
                Ok(())
            };
            seat.run(&mut tasks, pump);
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap().unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn beside_a_pool_each_has_a_thread_and_how_it_ends_is_told() {
        let mut tasks = JoinSet::new();
        for seat in Seat::several(2).unwrap() {
            assert_ne!(seat.runtime().id(), Handle::current().id());
            let seat_id = seat.runtime().id();
            let failed = async move {
                assert_eq!(Handle::current().id(), seat_id);
                Err(io::ErrorKind::ConnectionReset.into())
            };
            seat.run(&mut tasks, failed);
        }
        while let Some(ended) = timeout(SOON, tasks.join_next()).await.unwrap() {
            let error = ended.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_pump_ends_with_the_tasks_and_an_unused_seat_without_a_panic() {
        let mut seats = Seat::several(2).unwrap();
        drop(seats.pop());
        let held = Arc::new(());
        let pump = {
            let held = held.clone();
            async move {
                let _held = held;
                std::future::pending().await
            }
        };
        let mut tasks = JoinSet::new();
        seats.remove(0).run(&mut tasks, pump);
        drop(tasks);
        let gone = async {
            while Arc::strong_count(&held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, gone).await.unwrap();
    }
}

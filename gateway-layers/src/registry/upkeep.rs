//! What a registry does in the background: it checks, and ends what was not renewed.

use std::future::{Future, pending};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::check;
use super::shared::Shared;

/// What is due within this time is done together.
const TOGETHER: Duration = Duration::from_millis(20);

/// A store that failed is asked again after this time, and one that changes without end not more
/// often than this allows.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Checks what is due, until the registry is gone.
pub(super) fn check(shared: &Arc<Shared>) -> impl Future<Output = ()> + Send + use<> {
    let to_check = Arc::clone(&shared.to_check);
    let most = shared.checks.concurrent.max(1);
    let weak = Arc::downgrade(shared);
    async move {
        let mut running = FuturesUnordered::new();
        loop {
            let Some(shared) = weak.upgrade() else {
                return;
            };
            let now = Instant::now();
            let due = shared.lock().due(most - running.len(), now);
            for record in due {
                let how = Arc::clone(&shared.check);
                let within = shared.checks.timeout;
                running.push(async move {
                    let found = timeout(within, check::check(&record, &*how)).await;
                    let late = |_| Err(format!("no answer within {within:?}"));
                    (Arc::clone(&record.id), found.unwrap_or_else(late))
                });
            }
            let next = (running.len() < most).then(|| shared.lock().next_check()).flatten();
            let next = next.map(|at| at.max(now + TOGETHER));
            drop(shared);
            tokio::select! {
                Some((id, found)) = running.next(), if !running.is_empty() => {
                    if let Some(shared) = weak.upgrade() {
                        shared.checked(&id, found);
                    }
                }
                () = until(next) => {}
                () = to_check.notified() => {}
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Takes over what the store has whenever that changes or a lease ends here, until the registry is
/// gone. As long as the store fails nothing ends: the last good set holds.
pub(super) fn expire(shared: &Arc<Shared>) -> impl Future<Output = ()> + Send + use<> {
    let to_expire = Arc::clone(&shared.to_expire);
    let store = Arc::clone(&shared.store);
    let weak = Arc::downgrade(shared);
    async move {
        // Whatever the store has, it is taken over first.
        let mut version = refresh(&weak).await;
        loop {
            let Some(known) = version else {
                sleep(STORE_AGAIN).await;
                version = refresh(&weak).await;
                if weak.strong_count() == 0 {
                    return;
                }
                continue;
            };
            let Some(next) = weak.upgrade().map(|shared| shared.lock().next_expiry()) else {
                return;
            };
            let failed = tokio::select! {
                changed = store.changed(known) => changed.err(),
                () = until(next) => None,
                () = to_expire.notified() => continue,
            };
            version = match failed {
                None => refresh(&weak).await,
                Some(error) => {
                    if let Some(shared) = weak.upgrade() {
                        shared.store_failed(&error);
                    }
                    None
                }
            };
        }
    }
}

/// Takes over what the store has. The version of it; `None`: the store failed.
async fn refresh(weak: &Weak<Shared>) -> Option<u64> {
    let shared = weak.upgrade()?;
    let started = Instant::now();
    let loaded = shared.ask_store(shared.store.load()).await.ok()?;
    let version = loaded.version;
    shared.loaded(loaded, started);
    Some(version)
}

//! Connecting to a name of several addresses (Happy Eyeballs, RFC 8305).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// The time between the starts of two attempts (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that accepts. The next attempt starts when the one before
/// has failed, or has taken 250 ms; the caller limits the time of all together.
pub(super) async fn first_of<T, F>(
    addresses: impl Iterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut left = interleaved(addresses);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(address) = left.pop_front() {
            attempts.push(connect(address));
        }
        let ended = if left.is_empty() {
            attempts.next().await
        } else {
            match timeout(STAGGER, attempts.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(error)) => last = error,
            None => return Err(last),
        }
    }
}

/// The addresses with their families in turn, that of the first one first (RFC 8305, section 4):
/// a family without a route costs one delay.
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses = addresses.peekable();
    let is_v4 = addresses.peek().is_some_and(SocketAddr::is_ipv4);
    let (one, other): (Vec<_>, Vec<_>) = addresses.partition(|at| at.is_ipv4() == is_v4);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut ordered = VecDeque::new();
    loop {
        let (first, second) = (one.next(), other.next());
        if first.is_none() && second.is_none() {
            return ordered;
        }
        ordered.extend(first.into_iter().chain(second));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn addresses(texts: &[&str]) -> std::vec::IntoIter<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1"]);
        let ordered: Vec<_> = interleaved(found).iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn silent_address_costs_one_stagger() {
        let started = Instant::now();
        let found = addresses(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
        let connected = first_of(found, |at| async move {
            match at.to_string().as_str() {
                "10.0.0.1:1" => pending().await,
                _ => Ok(at.to_string()),
            }
        });
        assert_eq!(connected.await.unwrap(), "10.0.0.2:1");
        assert_eq!(started.elapsed(), STAGGER);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_address_costs_nothing_and_the_slow_one_may_still_win() {
        let started = Instant::now();
        let order = RefCell::new(Vec::new());
        let found = addresses(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"]);
        let connected = first_of(found, |at| {
            order.borrow_mut().push(at.to_string());
            async move {
                match at.to_string().as_str() {
                    "10.0.0.2:1" => {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        Ok(at.to_string())
                    }
                    "10.0.0.1:1" => Err(io::ErrorKind::ConnectionRefused.into()),
                    _ => pending().await,
                }
            }
        });
        assert_eq!(connected.await.unwrap(), "10.0.0.2:1");
        assert_eq!(started.elapsed(), Duration::from_millis(300));
        assert_eq!(order.into_inner().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn last_failure_is_reported() {
        let rejected = |_| async { Err::<(), _>(io::ErrorKind::ConnectionRefused.into()) };
        let failed = first_of(addresses(&["10.0.0.1:1", "[::1]:1"]), rejected).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let none = first_of(addresses(&[]), rejected).await;
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

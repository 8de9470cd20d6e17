//! The life of a certificate, in paused time, with an authority of the tests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gateway_core::Clock;
use gateway_core::server::tls::CertificateStore;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep};

use super::authority::{Asking, Authority, Issued, Renewal};
use super::config::Challenge;
use super::fault::Fault;
use super::keeper::{Acme, Keeper};
use super::schedule::{WINDOW_UNKNOWN, Window};
use super::state::AcmeState;
use super::storage::{Kind, Storage};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A wall clock that goes as the paused one does.
#[derive(Clone)]
struct Paused {
    epoch: SystemTime,
    began: Instant,
}

impl Paused {
    fn new() -> Self {
        // Whole seconds, since certificates know no others; files are written at about that time.
        let now = gateway_core::SystemClock.now();
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Self { epoch, began: Instant::now() }
    }

    fn days(&self) -> f64 {
        self.began.elapsed().as_secs_f64() / DAY.as_secs_f64()
    }
}

impl Clock for Paused {
    fn now(&self) -> SystemTime {
        self.epoch + self.began.elapsed()
    }
}

/// What the authority does, and what it was asked.
#[derive(Default)]
struct Script {
    fault: Option<Fault>,
    window: Option<Window>,
    /// The window is the same for every certificate.
    lasting: bool,
    names: Vec<String>,
    /// Days at which it was asked for a certificate.
    orders: Vec<f64>,
    /// Whether the order replaced another.
    replaced: Vec<bool>,
    asked: usize,
}

#[derive(Clone)]
struct Fake {
    clock: Paused,
    script: Arc<Mutex<Script>>,
}

impl Authority for Fake {
    fn issue<'a>(&'a self, replaced: Option<&'a CertificateDer<'static>>) -> Asking<'a, Issued> {
        Box::pin(async move {
            sleep(Duration::from_secs(3)).await;
            let mut script = self.script.lock().unwrap();
            script.orders.push(self.clock.days());
            script.replaced.push(replaced.is_some());
            if let Some(fault) = &script.fault {
                return Err(fault.clone());
            }
            if replaced.is_some() && !script.lasting {
                script.window = None;
            }
            Ok(Issued(pem(&script.names, self.clock.now(), LIFETIME)))
        })
    }

    fn renewal<'a>(&'a self, _: &'a CertificateDer<'static>) -> Asking<'a, Renewal> {
        Box::pin(async move {
            let mut script = self.script.lock().unwrap();
            script.asked += 1;
            let ask_again = if script.window.is_some() { DAY / 4 } else { WINDOW_UNKNOWN };
            Ok(Renewal { window: script.window, ask_again })
        })
    }
}

/// A certificate with its key.
fn pem(names: &[String], now: SystemTime, lifetime: Duration) -> String {
    let mut params = CertificateParams::new(names.to_vec()).unwrap();
    params.not_before = now.into();
    params.not_after = (now + lifetime).into();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    format!("{}{}", key.serialize_pem(), certificate.pem())
}

struct Setup {
    clock: Paused,
    script: Arc<Mutex<Script>>,
    folder: PathBuf,
    store: CertificateStore,
}

impl Setup {
    fn new() -> Self {
        let name = format!("acme-{}-{:x}", std::process::id(), rand());
        let script = Script { names: vec!["a.test".to_owned()], ..Script::default() };
        Self {
            clock: Paused::new(),
            script: Arc::new(Mutex::new(script)),
            folder: std::env::temp_dir().join(name),
            store: CertificateStore::new(Vec::new()),
        }
    }

    fn storage(&self) -> Storage {
        Storage::new(self.folder.clone())
    }

    fn acme(&self) -> Acme {
        let authority = Fake { clock: self.clock.clone(), script: Arc::clone(&self.script) };
        Acme::new(Keeper {
            name: "n".to_owned(),
            domains: vec!["a.test".to_owned()],
            directory: "https://ca.test/".to_owned(),
            challenge: Challenge::TlsAlpn01,
            renew_before: None,
            storage: self.storage(),
            stores: vec![self.store.clone()],
            provider: Arc::new(aws_lc_rs::default_provider()),
            observers: gateway_core::Observers::default(),
            clock: Arc::new(self.clock.clone()),
            authority: Box::new(authority),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Script) -> T) -> T {
        act(&mut self.script.lock().unwrap())
    }

    fn orders(&self) -> Vec<f64> {
        self.with(|script| script.orders.clone())
    }

    fn served(&self) -> usize {
        self.store.certificates().len()
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn rand() -> u64 {
    super::schedule::random_share().to_bits()
}

/// Lets `days` go by, in steps so that what happens at the same time happens.
async fn days(days: f64) {
    sleep(DAY.mul_f64(days)).await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_ordered_once_and_again_before_it_expires() {
    let setup = Setup::new();
    let acme = setup.acme();
    assert_eq!(acme.status().state, AcmeState::Missing);
    acme.start();
    acme.start();
    days(0.01).await;
    assert_eq!((setup.orders().len(), setup.served()), (1, 1));
    assert_eq!(acme.status().state, AcmeState::Valid);
    days(56.0).await;
    assert_eq!(setup.orders().len(), 1);
    days(5.0).await;
    let orders = setup.orders();
    assert_eq!(orders.len(), 2);
    assert!((57.0..=60.1).contains(&orders[1]), "{orders:?}");
    // Nobody spoke of renewal, so that nobody is told what is replaced.
    assert_eq!(setup.with(|script| script.replaced.clone()), [false, false]);
    drop(acme);
    tokio::task::yield_now().await;
    assert_eq!(setup.served(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_word_of_the_authority_comes_first() {
    let setup = Setup::new();
    let at = |days: u32| setup.clock.epoch + DAY * days;
    setup.with(|script| script.window = Some(Window { start: at(70), end: at(72) }));
    let acme = setup.acme();
    acme.start();
    days(69.0).await;
    assert_eq!(setup.orders().len(), 1);
    // Four times a day, as it said.
    assert!((270..=280).contains(&setup.with(|script| script.asked)));
    days(4.0).await;
    let orders = setup.orders();
    assert!(orders.len() == 2 && (70.0..=72.1).contains(&orders[1]), "{orders:?}");
    assert_eq!(setup.with(|script| script.replaced.clone()), [false, true]);
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_wants_everything_replaced_is_asked_a_few_times_a_day() {
    let setup = Setup::new();
    let past = setup.clock.epoch - DAY;
    let window = Some(Window { start: past, end: past });
    setup.with(|script| (script.window, script.lasting) = (window, true));
    let acme = setup.acme();
    acme.start();
    days(1.0).await;
    let orders = setup.orders().len();
    assert!((4..=5).contains(&orders), "{orders}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_used_for_as_long_as_there_is_no_other() {
    let setup = Setup::new();
    let acme = setup.acme();
    acme.start();
    days(1.0).await;
    setup.with(|script| script.fault = Some(Fault::rejected("no more")));
    days(75.0).await;
    let status = acme.status();
    assert_eq!((status.state, setup.served()), (AcmeState::Valid, 1));
    assert_eq!(status.last_error.as_deref(), Some("no more"));
    // Some on the first day, and then one a day.
    let tries = setup.orders().len();
    assert!((15..=60).contains(&tries), "{tries}");
    assert!(status.next_try.unwrap() <= setup.clock.now() + DAY);
    days(20.0).await;
    assert_eq!((acme.status().state, setup.served()), (AcmeState::Expired, 1));
    setup.with(|script| script.fault = None);
    days(1.1).await;
    let status = acme.status();
    assert_eq!((status.state, status.failures, status.last_error), (AcmeState::Valid, 0, None));
}

#[tokio::test(start_paused = true)]
async fn who_asks_to_be_left_alone_is() {
    let setup = Setup::new();
    let mut fault = Fault::away("busy");
    fault.retry_after = Some(DAY * 2);
    setup.with(|script| script.fault = Some(fault));
    let acme = setup.acme();
    acme.start();
    days(1.9).await;
    assert_eq!(setup.orders().len(), 1);
    assert_eq!((acme.status().failures, setup.served()), (1, 0));
    setup.with(|script| script.fault = None);
    days(0.2).await;
    assert_eq!((setup.orders().len(), setup.served()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stored_certificate_is_served_at_once_and_an_expired_one_never() {
    let setup = Setup::new();
    let names = ["a.test".to_owned()];
    let old = pem(&names, setup.clock.now() - DAY * 30, DAY * 20);
    setup.storage().write(Kind::Certificate, "n", old.as_bytes()).unwrap();
    setup.with(|script| script.fault = Some(Fault::away("nobody")));
    let acme = setup.acme();
    acme.start();
    assert_eq!((acme.status().state, setup.served()), (AcmeState::Missing, 0));
    drop(acme);
    let good = pem(&names, setup.clock.now() - DAY * 30, LIFETIME);
    setup.storage().write(Kind::Certificate, "n", good.as_bytes()).unwrap();
    let acme = setup.acme();
    // Built is not served: a document may be rejected after that.
    assert_eq!((acme.status().state, setup.served()), (AcmeState::Valid, 0));
    acme.start();
    assert_eq!(setup.served(), 1);
    days(1.0).await;
    assert!(setup.orders().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_have_the_names_is_not_used() {
    let setup = Setup::new();
    setup.with(|script| script.names = vec!["b.test".to_owned()]);
    let acme = setup.acme();
    acme.start();
    days(0.001).await;
    let status = acme.status();
    assert!(status.last_error.unwrap().contains("has not the name a.test"));
    assert_eq!(setup.served(), 0);
    assert!(setup.storage().read(Kind::Certificate, "n").unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_served_and_stored_later() {
    let setup = Setup::new();
    let acme = setup.acme();
    acme.start();
    // The lock is there, and then the folder is in the way of what is written.
    let folder = setup.folder.join("certificates");
    let lock = loop {
        sleep(Duration::from_millis(10)).await;
        if acme.status().state == AcmeState::Ordering {
            break std::fs::read_dir(&folder).unwrap().count();
        }
    };
    assert_eq!(lock, 1);
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    days(0.001).await;
    assert_eq!((acme.status().state, setup.served()), (AcmeState::Valid, 1));
    assert!(acme.status().last_error.unwrap().starts_with("storage: "));
    std::fs::remove_file(&folder).unwrap();
    days(0.01).await;
    assert_eq!(acme.status().last_error, None);
    assert!(setup.storage().read(Kind::Certificate, "n").unwrap().is_some());
    assert_eq!(setup.orders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_over_without_a_gap() {
    let setup = Setup::new();
    let first = setup.acme();
    first.start();
    days(0.01).await;
    let second = setup.acme();
    second.start();
    drop(first);
    assert_eq!(setup.served(), 1);
    days(1.0).await;
    assert_eq!((setup.served(), setup.orders().len()), (1, 1));
}

//! [`AcmeAuthority`]: orders, from names to a certificate (RFC 8555, section 7.4).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway_core::Clock;
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, CertificateIdentifier, Error, Identifier,
    NewOrder, Order, OrderStatus, Problem,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::time::{sleep, timeout};

use super::account::AccountConfig;
use super::authority::{Asking, Authority, Issued, Renewal};
use super::client::Client;
use super::fault::{Fault, said};
use super::proof::{Proofs, Shown};
use super::schedule::{WINDOW_UNKNOWN, WINDOW_UNSAID, Window, ask_again};
use super::storage::Storage;

/// From the first question to the certificate.
const ORDER_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// For the question when to renew.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(90);

/// The first wait between two looks at an order; it grows by half each time.
const LOOK_FIRST: Duration = Duration::from_millis(500);

/// The longest wait between two looks, whatever the authority says.
const LOOK_MOST: Duration = Duration::from_secs(30);

/// How often a question is asked again because its nonce was not good (RFC 8555, section 6.5). Each
/// counts for three, since the client asks again by itself.
pub(super) const BAD_NONCES: u32 = 8;

/// Asks, and asks again where only the nonce was wrong.
macro_rules! patiently {
    ($asking:expr) => {{
        let mut rejected = 0;
        loop {
            match $asking.await {
                Err(error)
                    if rejected < $crate::acme::order::BAD_NONCES
                        && $crate::acme::order::is_problem(&error, "badNonce") =>
                {
                    rejected += 1;
                }
                done => break done,
            }
        }
    }};
}
pub(super) use patiently;

/// An authority that is spoken to by ACME.
pub(super) struct AcmeAuthority {
    pub(super) account: AccountConfig,
    pub(super) domains: Vec<String>,
    pub(super) profile: Option<String>,
    pub(super) storage: Storage,
    pub(super) proofs: Proofs,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) clock: Arc<dyn Clock>,
}

/// One conversation with the authority. Its connections end with it.
pub(super) struct Conversation {
    client: Client,
}

impl Conversation {
    pub(super) fn builder(&self) -> AccountBuilder {
        Account::builder_with_http(Box::new(self.client.clone()))
    }

    /// What `error` of the latest question comes to, which was about `what`.
    pub(super) fn fault(&self, what: &str, error: &Error) -> Fault {
        let latest = self.client.latest();
        let message = match error {
            Error::Api(problem) => format!("the authority rejects {what}: {}", described(problem)),
            _ if latest.away => said(&format!("the authority, asked for {what}, {error}")),
            Error::Json(_) => format!("the authority answers to {what} with something else"),
            other => said(&format!("the authority, asked for {what}: {other}")),
        };
        let away = !matches!(error, Error::Api(_)) || is_problem(error, "serverInternal");
        let mut fault = if away { Fault::away(message) } else { Fault::rejected(message) };
        fault.retry_after = latest.retry_after;
        fault
    }
}

/// True where the authority says that this is the problem (RFC 8555, section 6.7).
pub(super) fn is_problem(error: &Error, kind: &str) -> bool {
    let Error::Api(problem) = error else {
        return false;
    };
    let found = problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next());
    found == Some(kind)
}

fn described(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("no type");
    let kind = kind.rsplit(':').next().unwrap_or(kind);
    let mut text = format!("{kind}: {}", problem.detail.as_deref().unwrap_or("no detail"));
    for sub in &problem.subproblems {
        text.push_str("; ");
        text.push_str(&sub.to_string());
    }
    said(&text)
}

impl AcmeAuthority {
    fn converse(&self) -> Conversation {
        Conversation { client: Client::new(Arc::clone(&self.tls), Arc::clone(&self.clock)) }
    }

    async fn order(&self, replaced: Option<&CertificateDer<'static>>) -> Result<Issued, Fault> {
        let conversation = self.converse();
        let mut order = self.begin(&conversation, replaced).await?;
        let shown = self.show(&conversation, &mut order).await?;
        let ready = self.wait_until_ready(&conversation, &mut order).await;
        drop(shown);
        ready?;
        let (request, key) = self.request()?;
        patiently!(order.finalize_csr(&request))
            .map_err(|error| conversation.fault("the certificate", &error))?;
        let chain = self.collect(&conversation, &mut order).await?;
        Ok(Issued(format!("{}\n{}\n", key.trim_end(), chain.trim_end())))
    }

    /// A new order; one that replaces a certificate where the authority takes such orders.
    async fn begin(
        &self,
        conversation: &Conversation,
        replaced: Option<&CertificateDer<'static>>,
    ) -> Result<Order, Fault> {
        let names: Vec<_> = self.domains.iter().cloned().map(Identifier::Dns).collect();
        let plain = || {
            let order = NewOrder::new(&names);
            match &self.profile {
                Some(profile) => order.profile(profile),
                None => order,
            }
        };
        let mut account = self.account.open(conversation, &self.storage).await?;
        let replaced = replaced.and_then(|replaced| CertificateIdentifier::try_from(replaced).ok());
        if let Some(replaced) = replaced {
            let order = plain().replaces(replaced);
            match patiently!(account.new_order(&order)) {
                Ok(order) => return Ok(order),
                // It knows nothing of that, or somebody else replaced it already
                // (RFC 9773, section 5): an order is an order.
                Err(error) => tracing::debug!(%error, "the order replaces nothing"),
            }
        }
        let mut ordered = patiently!(account.new_order(&plain()));
        if ordered.as_ref().is_err_and(|error| is_problem(error, "accountDoesNotExist")) {
            tracing::warn!("the authority does not know the account any more; making a new one");
            self.account.forget(&self.storage).await?;
            account = self.account.open(conversation, &self.storage).await?;
            ordered = patiently!(account.new_order(&plain()));
        }
        ordered.map_err(|error| conversation.fault("the order", &error))
    }

    /// Shows what the authority wants to see, and tells it so.
    async fn show(
        &self,
        conversation: &Conversation,
        order: &mut Order,
    ) -> Result<Vec<Shown>, Fault> {
        load(conversation, order).await?;
        let mut shown = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization =
                authorization.map_err(|error| conversation.fault("the authorization", &error))?;
            let (name, status) = (authorization.identifier().to_string(), authorization.status);
            match status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => {
                    let message = format!("the authorization for {} is {other:?}", said(&name));
                    return Err(Fault::rejected(message));
                }
            }
            let challenge = authorization.challenge(self.proofs.kind()).ok_or_else(|| {
                let challenge = self.proofs.challenge.as_str();
                Fault::rejected(format!("the authority does not offer {challenge} for {name}"))
            })?;
            // A token is a part of a path: only its own letters (RFC 8555, section 8).
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if challenge.token.is_empty() || !challenge.token.bytes().all(plain) {
                return Err(Fault::rejected("the authority's token is none"));
            }
            let authorization = challenge.key_authorization();
            shown.push(self.proofs.show(&name, &challenge.token, &authorization)?);
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization =
                authorization.map_err(|error| conversation.fault("the authorization", &error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            if let Some(mut challenge) = authorization.challenge(self.proofs.kind()) {
                patiently!(challenge.set_ready())
                    .map_err(|error| conversation.fault("the challenge", &error))?;
            }
        }
        Ok(shown)
    }

    async fn wait_until_ready(
        &self,
        conversation: &Conversation,
        order: &mut Order,
    ) -> Result<(), Fault> {
        let mut pace = Pace::new();
        loop {
            let status = patiently!(async { order.refresh().await.map(|state| state.status) })
                .map_err(|error| conversation.fault("the state of the order", &error))?;
            match status {
                OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid => return Ok(()),
                OrderStatus::Invalid => return Err(why_invalid(conversation, order).await),
                OrderStatus::Pending => pace.wait(conversation).await,
            }
        }
    }

    /// The chain, once it is there.
    async fn collect(
        &self,
        conversation: &Conversation,
        order: &mut Order,
    ) -> Result<String, Fault> {
        let mut pace = Pace::new();
        loop {
            match order.state().status {
                OrderStatus::Valid => break,
                OrderStatus::Invalid => return Err(why_invalid(conversation, order).await),
                _ => pace.wait(conversation).await,
            }
            patiently!(async { order.refresh().await.map(drop) })
                .map_err(|error| conversation.fault("the state of the order", &error))?;
        }
        let chain = patiently!(order.certificate())
            .map_err(|error| conversation.fault("the certificate", &error))?;
        chain.ok_or_else(|| Fault::away("the authority has not made the certificate yet"))
    }

    /// What is asked for, and the private key for it, in PEM.
    fn request(&self) -> Result<(Vec<u8>, String), Fault> {
        let wrong = |error: rcgen::Error| {
            Fault::rejected(format!("the request for the certificate could not be made: {error}"))
        };
        let mut params = CertificateParams::new(self.domains.clone()).map_err(wrong)?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate().map_err(wrong)?;
        let request = params.serialize_request(&key).map_err(wrong)?;
        Ok((request.der().to_vec(), key.serialize_pem()))
    }

    async fn window(&self, certificate: &CertificateDer<'static>) -> Result<Renewal, Fault> {
        let unknown = Renewal { window: None, ask_again: WINDOW_UNKNOWN };
        let Ok(id) = CertificateIdentifier::try_from(certificate) else {
            return Ok(unknown);
        };
        let conversation = self.converse();
        let account = self.account.open(&conversation, &self.storage).await?;
        let (info, after) = match account.renewal_info(&id).await {
            Ok(found) => found,
            Err(Error::Unsupported(_)) => return Ok(unknown),
            // It said when, and not when to ask again: no answer of the standard.
            Err(Error::Str(_)) => return Ok(Renewal { ask_again: WINDOW_UNSAID, ..unknown }),
            Err(error) => return Err(conversation.fault("when to renew", &error)),
        };
        let window = info.suggested_window;
        let window =
            Window { start: SystemTime::from(window.start), end: SystemTime::from(window.end) };
        Ok(Renewal { window: Some(window), ask_again: ask_again(after) })
    }
}

impl Authority for AcmeAuthority {
    fn issue<'a>(&'a self, replaced: Option<&'a CertificateDer<'static>>) -> Asking<'a, Issued> {
        Box::pin(async move {
            let ordered = timeout(ORDER_DEADLINE, self.order(replaced)).await;
            ordered.unwrap_or_else(|_| {
                let minutes = ORDER_DEADLINE.as_secs() / 60;
                Err(Fault::away(format!("the order did not come to an end in {minutes} minutes")))
            })
        })
    }

    fn renewal<'a>(&'a self, certificate: &'a CertificateDer<'static>) -> Asking<'a, Renewal> {
        Box::pin(async move {
            let asked = timeout(RENEWAL_DEADLINE, self.window(certificate)).await;
            asked.unwrap_or_else(|_| Err(Fault::away("the authority does not say when to renew")))
        })
    }
}

/// Fetches every authorization of `order`.
async fn load(conversation: &Conversation, order: &mut Order) -> Result<(), Fault> {
    let loaded = patiently!(async {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            authorization?;
        }
        Ok::<_, Error>(())
    });
    loaded.map_err(|error| conversation.fault("the authorization", &error))
}

/// Which of the names could not be proved, and why not.
async fn why_invalid(conversation: &Conversation, order: &mut Order) -> Fault {
    let mut reasons = Vec::new();
    let of_order = order.state().error.as_ref().map(described);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        let name = authorization.identifier().to_string();
        let refreshed = patiently!(async { authorization.refresh().await.map(drop) });
        if let Err(error) = refreshed {
            return conversation.fault("why the order failed", &error);
        }
        let failed = authorization.challenges.iter().filter_map(|one| one.error.as_ref());
        reasons.extend(failed.map(|problem| format!("{}: {}", said(&name), described(problem))));
    }
    reasons.extend(of_order);
    if reasons.is_empty() {
        reasons.push("the authority does not say why".to_owned());
    }
    Fault::rejected(format!("the order failed: {}", reasons.join("; ")))
}

/// The waits between two looks at an order.
struct Pace {
    next: Duration,
}

impl Pace {
    fn new() -> Self {
        Self { next: LOOK_FIRST }
    }

    async fn wait(&mut self, conversation: &Conversation) {
        let asked = conversation.client.latest().retry_after.unwrap_or_default();
        let wait = self.next.max(asked).min(LOOK_MOST);
        self.next = (self.next * 3 / 2).min(LOOK_MOST);
        sleep(wait).await;
    }
}

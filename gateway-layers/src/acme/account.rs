//! Accounts with an authority (RFC 8555, section 7.3).

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::config::ExternalAccount;
use super::fault::Fault;
use super::order::{Conversation, patiently};
use super::storage::{Kind, Lock, Storage, blocking, name_of};

/// Who waits longer for the lock of an account gives up for this time.
const LOCK_DEADLINE: Duration = Duration::from_secs(60);

/// How often it is looked whether the lock is free.
const LOCK_LOOK: Duration = Duration::from_millis(250);

/// An account as it is told.
#[derive(Clone, Debug)]
pub(super) struct AccountConfig {
    pub(super) directory: String,
    pub(super) contacts: Vec<String>,
    pub(super) external: Option<ExternalAccount>,
}

/// An account as it is stored. It has a private key in it.
#[derive(Deserialize, Serialize)]
struct Stored {
    contact: Vec<String>,
    credentials: Value,
}

impl AccountConfig {
    /// One file for each directory and external account.
    pub(super) fn name(&self) -> String {
        let host = self.directory.strip_prefix("https://").unwrap_or(&self.directory);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        let external = self.external.as_ref().map_or("", ExternalAccount::key_id);
        name_of(host, [self.directory.as_str(), external])
    }

    /// The account that is stored, or a new one, which is stored then.
    pub(super) async fn open(
        &self,
        conversation: &Conversation,
        storage: &Storage,
    ) -> Result<Account, Fault> {
        if let Some(stored) = self.stored(storage).await? {
            return self.restored(stored, conversation, storage).await;
        }
        let lock = self.lock(storage).await?;
        // Somebody else may have made it meanwhile.
        if let Some(stored) = self.stored(storage).await? {
            return self.restored(stored, conversation, storage).await;
        }
        let account = self.create(conversation, storage).await;
        drop(lock);
        account
    }

    /// Forgets the account, which the authority does not know.
    pub(super) async fn forget(&self, storage: &Storage) -> Result<(), Fault> {
        let (storage, name) = (storage.clone(), self.name());
        let removed = blocking(move || storage.remove(Kind::Account, &name)).await;
        removed.map_err(|error| Fault::away(format!("storage: the account: {error}")))
    }

    async fn stored(&self, storage: &Storage) -> Result<Option<Stored>, Fault> {
        let (storage, name) = (storage.clone(), self.name());
        let found = blocking(move || storage.read(Kind::Account, &name)).await;
        let found = found.map_err(|error| Fault::away(format!("storage: the account: {error}")))?;
        let Some((bytes, _)) = found else {
            return Ok(None);
        };
        // What is wrong with it is not repeated: the words could hold a piece of the key.
        serde_json::from_slice(&bytes).map(Some).map_err(|_| unreadable())
    }

    async fn restored(
        &self,
        stored: Stored,
        conversation: &Conversation,
        storage: &Storage,
    ) -> Result<Account, Fault> {
        let of_it = stored.credentials.get("directory").and_then(Value::as_str);
        if of_it != Some(self.directory.as_str()) {
            return Err(unreadable());
        }
        let credentials = serde_json::from_value::<AccountCredentials>(stored.credentials.clone());
        let credentials = credentials.map_err(|_| unreadable())?;
        let account = conversation.builder().from_credentials(credentials).await;
        let account = account.map_err(|error| conversation.fault("its directory", &error))?;
        if stored.contact != self.contacts {
            let contacts: Vec<_> = self.contacts.iter().map(String::as_str).collect();
            patiently!(account.update_contacts(&contacts))
                .map_err(|error| conversation.fault("the new contacts", &error))?;
            let stored = Stored { contact: self.contacts.clone(), ..stored };
            self.store(&stored, storage).await?;
        }
        Ok(account)
    }

    async fn create(
        &self,
        conversation: &Conversation,
        storage: &Storage,
    ) -> Result<Account, Fault> {
        let external = match &self.external {
            None => None,
            Some(external) => {
                let key = external.key();
                let key = key.ok_or_else(|| Fault::rejected("the external account's key"))?;
                Some(ExternalAccountKey::new(external.key_id().to_owned(), &key))
            }
        };
        let contacts: Vec<_> = self.contacts.iter().map(String::as_str).collect();
        let asked = NewAccount {
            contact: &contacts,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = &self.directory;
        let create = || conversation.builder().create(&asked, directory.clone(), external.as_ref());
        let (account, credentials) =
            patiently!(create()).map_err(|error| conversation.fault("a new account", &error))?;
        let credentials = serde_json::to_value(&credentials).map_err(|_| unreadable())?;
        let stored = Stored { contact: self.contacts.clone(), credentials };
        self.store(&stored, storage).await?;
        tracing::info!(directory, "account made with the authority");
        Ok(account)
    }

    async fn store(&self, stored: &Stored, storage: &Storage) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(stored).map_err(|_| unreadable())?;
        let (storage, name) = (storage.clone(), self.name());
        let written = blocking(move || storage.write(Kind::Account, &name, &bytes)).await;
        written.map(drop).map_err(|error| Fault::away(format!("storage: the account: {error}")))
    }

    async fn lock(&self, storage: &Storage) -> Result<Lock, Fault> {
        let until = Instant::now() + LOCK_DEADLINE;
        loop {
            let (storage, name) = (storage.clone(), self.name());
            let lock = blocking(move || storage.lock(Kind::Account, &name)).await;
            match lock {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) if Instant::now() < until => sleep(LOCK_LOOK).await,
                Ok(None) => return Err(Fault::away("storage: somebody else holds the account")),
                Err(error) => return Err(Fault::away(format!("storage: the account: {error}"))),
            }
        }
    }
}

fn unreadable() -> Fault {
    Fault::rejected(
        "storage: the file of the account cannot be read as one of this directory; remove it for a \
         new account",
    )
}

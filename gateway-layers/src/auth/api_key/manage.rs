//! Keys as their owner makes them, changes them and takes them back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

use super::format::{IssuedKey, MAX_KEY, MIN_KEY, Shape};
use super::keys::ApiKeys;
use super::record::{KeyGrant, KeyRecord};
use super::store::{Erased, StoreError};
use crate::auth::SecretDigest;

/// A store that is to write has longer than one that a request waits for.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Who is overtaken by somebody else reads again and tries again, so often.
const TRIES: u32 = 5;

/// Why a key was not issued, changed or listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyManagementError {
    /// There is no key with this id.
    #[error("there is no key `{0}`")]
    Unknown(String),
    /// A key that was taken back is not taken again, nor replaced.
    #[error("key `{0}` has been revoked or has expired")]
    Over(String),
    /// It is too short, too long, or looks like one of ours.
    #[error(
        "this cannot be imported, expected {MIN_KEY} to {MAX_KEY} bytes that do not begin as the \
         keys do that are issued here"
    )]
    Foreign,
    /// The system has no randomness to give.
    #[error("no random numbers")]
    Random,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiKeys {
    /// Makes a key that gives `grant`. The key itself is kept nowhere.
    ///
    /// # Errors
    ///
    /// When the store does not keep it.
    pub async fn issue(
        &self,
        grant: KeyGrant,
    ) -> Result<(IssuedKey, KeyRecord), KeyManagementError> {
        let key = self.shared.format.generate().ok_or(KeyManagementError::Random)?;
        let record = self.new_record(key.id().to_owned(), key.digest(), grant);
        self.put(std::slice::from_ref(&record)).await?;
        Ok((key, record))
    }

    /// Takes `key`, which somebody else has made, from now on as `id`.
    ///
    /// # Errors
    ///
    /// When it is too short or too long, looks like one that is issued here, or the store does not
    /// keep it.
    pub async fn import(
        &self,
        id: impl Into<String>,
        key: &str,
        grant: KeyGrant,
    ) -> Result<KeyRecord, KeyManagementError> {
        let key = key.as_bytes();
        let foreign = self.shared.format.shape(key) == Shape::Foreign;
        if !foreign || !(MIN_KEY..=MAX_KEY).contains(&key.len()) {
            return Err(KeyManagementError::Foreign);
        }
        let record = self.new_record(id.into(), SecretDigest::of(key), grant);
        self.put(std::slice::from_ref(&record)).await?;
        Ok(record)
    }

    /// Makes a key that gives what `id` gives. It is taken at once, and the old one for `overlap`
    /// more, or until it expires.
    ///
    /// # Errors
    ///
    /// When there is no such key, it is not taken any more, or the store does not keep it. Then
    /// nothing has changed.
    pub async fn rotate(
        &self,
        id: &str,
        overlap: Duration,
    ) -> Result<(IssuedKey, KeyRecord), KeyManagementError> {
        let key = self.shared.format.generate().ok_or(KeyManagementError::Random)?;
        let mut tries = TRIES;
        loop {
            let mut old = self.load(id).await?;
            let now = self.now();
            if old.disabled || old.grant.expires.is_some_and(|expires| expires <= now) {
                return Err(KeyManagementError::Over(id.to_owned()));
            }
            let new = self.new_record(key.id().to_owned(), key.digest(), old.grant.clone());
            let end = whole(now + overlap);
            old.grant.expires = Some(old.grant.expires.map_or(end, |expires| expires.min(end)));
            // One that has not begun ends before it does.
            old.grant.not_before = old.grant.not_before.filter(|start| *start < end);
            old.replaced_by = Some(new.id.clone());
            old.revision += 1;
            tries -= 1;
            match self.put(&[new.clone(), old]).await {
                Err(StoreError::Changed) if tries > 0 => {}
                done => return Ok(done.map(|()| (key, new))?),
            }
        }
    }

    /// Takes back the key `id`: it is rejected at once here, and within a second by other gateways
    /// with the same store.
    ///
    /// # Errors
    ///
    /// When there is no such key, or the store does not keep it.
    pub async fn revoke(&self, id: &str) -> Result<KeyRecord, KeyManagementError> {
        self.change(id, |record| record.disabled = true).await
    }

    /// Changes what the key `id` gives.
    ///
    /// # Errors
    ///
    /// When there is no such key, or the store does not keep it.
    pub async fn update(
        &self,
        id: &str,
        change: impl Fn(&mut KeyGrant) + Send + Sync,
    ) -> Result<KeyRecord, KeyManagementError> {
        self.change(id, |record| change(&mut record.grant)).await
    }

    /// Forgets the key `id`, as if it had never been.
    ///
    /// # Errors
    ///
    /// When there is no such key, or the store does not forget it.
    pub async fn remove(&self, id: &str) -> Result<(), KeyManagementError> {
        let removed = within(self.store().remove(id)).await?;
        if removed { Ok(()) } else { Err(KeyManagementError::Unknown(id.to_owned())) }
    }

    /// All keys, by their ids.
    ///
    /// # Errors
    ///
    /// When the store does not tell.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, KeyManagementError> {
        Ok(within(self.store().list()).await?)
    }

    /// The key `id`.
    ///
    /// # Errors
    ///
    /// When there is none, or the store does not tell.
    pub async fn load(&self, id: &str) -> Result<KeyRecord, KeyManagementError> {
        let found = within(self.store().load(id)).await?;
        found.ok_or_else(|| KeyManagementError::Unknown(id.to_owned()))
    }

    async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut KeyRecord) + Send + Sync,
    ) -> Result<KeyRecord, KeyManagementError> {
        let mut tries = TRIES;
        loop {
            let mut record = self.load(id).await?;
            change(&mut record);
            record.revision += 1;
            tries -= 1;
            match self.put(std::slice::from_ref(&record)).await {
                Err(StoreError::Changed) if tries > 0 => {}
                done => return Ok(done.map(|()| record)?),
            }
        }
    }

    fn new_record(&self, id: String, digest: SecretDigest, grant: KeyGrant) -> KeyRecord {
        let mut record = KeyRecord::new(id, digest, grant);
        record.created = Some(whole(self.now()));
        record
    }

    async fn put(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        within(self.store().put(records)).await
    }

    fn store(&self) -> &dyn Erased {
        &*self.shared.store
    }
}

/// As it is written: in whole seconds.
fn whole(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

async fn within<T>(
    asking: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let late = |_| Err(StoreError::Away("no answer in time".to_owned()));
    timeout(WRITE_WITHIN, asking).await.unwrap_or_else(late)
}

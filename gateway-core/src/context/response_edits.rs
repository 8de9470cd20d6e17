//! What layers want of the answer of a request, kept until there is one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Edits the header fields of an answer, whoever made it: the target, or the gateway for a failure.
/// See [`RequestContext::edit_response`](super::RequestContext::edit_response).
pub trait ResponseEdit: Send + Sync {
    /// Edits the fields. Must not block, and leaves alone what frames the message.
    fn edit(&self, headers: &mut HeaderMap);
}

/// Fields that layers add to the answer of a request, and edits of those that are there.
#[derive(Default)]
pub(super) struct ResponseEdits {
    any: AtomicBool,
    list: Mutex<Vec<Change>>,
}

enum Change {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Edit(Arc<dyn ResponseEdit>),
}

impl ResponseEdits {
    pub(super) fn set(&self, name: HeaderName, value: HeaderValue) {
        self.push(Change::Set(name, value));
    }

    pub(super) fn append(&self, name: HeaderName, value: HeaderValue) {
        self.push(Change::Append(name, value));
    }

    pub(super) fn edit(&self, edit: Arc<dyn ResponseEdit>) {
        self.push(Change::Edit(edit));
    }

    fn push(&self, change: Change) {
        self.any.store(true, Ordering::Release);
        self.lock().push(change);
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let changes = std::mem::take(&mut *self.lock());
        for change in changes {
            match change {
                Change::Set(name, value) => {
                    headers.insert(name, value);
                }
                Change::Append(name, value) => {
                    headers.append(name, value);
                }
                Change::Edit(edit) => edit.edit(headers),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Change>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Forgets(HeaderName);

    impl ResponseEdit for Forgets {
        fn edit(&self, headers: &mut HeaderMap) {
            headers.remove(&self.0);
        }
    }

    #[test]
    fn what_layers_ask_for_comes_in_their_order() {
        let (one, other) = (HeaderName::from_static("x-a"), HeaderName::from_static("x-b"));
        let value = HeaderValue::from_static;
        let fields = ResponseEdits::default();
        fields.edit(Arc::new(Forgets(one.clone())));
        fields.append(one.clone(), value("1"));
        fields.append(one.clone(), value("2"));
        fields.set(other.clone(), value("new"));
        let mut headers = HeaderMap::new();
        headers.insert(&one, value("old"));
        headers.insert(&other, value("old"));
        fields.apply(&mut headers);
        let lines: Vec<_> = headers.get_all(&one).iter().collect();
        assert_eq!(lines, ["1", "2"]);
        assert_eq!(headers[&other], "new");
        headers.clear();
        fields.apply(&mut headers);
        assert!(headers.is_empty(), "said once");
    }
}

//! [`BasicUsers`]: who has a password.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use super::hash::{HashError, PasswordHash};

/// So many users are kept at most.
pub const MAX_USERS: usize = 100_000;

/// Longest name of a user, in bytes.
pub(super) const MAX_NAME: usize = 256;

/// Somebody with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct BasicUser {
    /// The name: the subject of the principal. Without `:`.
    pub name: String,
    /// The hash of the password.
    pub hash: PasswordHash,
    /// What the user is. Default: nothing.
    pub roles: Vec<String>,
    /// The class that limits and priorities go by. Default: none.
    pub tier: Option<String>,
    /// The organisation on whose behalf. Default: none.
    pub tenant: Option<String>,
}

impl BasicUser {
    /// A user with this name and hash, and nothing else.
    pub fn new(name: impl Into<String>, hash: PasswordHash) -> Self {
        Self { name: name.into(), hash, roles: Vec::new(), tier: None, tenant: None }
    }

    /// Sets [`roles`](Self::roles).
    pub fn roles<N: Into<String>>(mut self, roles: impl IntoIterator<Item = N>) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`tier`](Self::tier).
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// Sets [`tenant`](Self::tenant).
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }
}

/// Users by their names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BasicUsers {
    by_name: HashMap<String, usize>,
    users: Vec<BasicUser>,
}

/// Why users are not taken. It repeats no password and no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsersError {
    /// Nobody could be let in.
    #[error("no user, expected one at least")]
    None,
    /// A line is none.
    #[error("line {line}: {problem}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        problem: UserError,
    },
    /// A user is none.
    #[error("user {place}: {problem}")]
    User {
        /// Which, from 1.
        place: usize,
        /// What is wrong with it.
        problem: UserError,
    },
    /// There are too many.
    #[error("more than {MAX_USERS} users")]
    Many,
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// What is wrong with a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// There is no name, or it cannot be sent.
    #[error("no name, expected NAME:HASH, the name without `:` and control characters")]
    Name,
    /// The name stands twice.
    #[error("the name stands there already")]
    Twice,
    /// The hash is none that is taken.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl BasicUsers {
    /// `users`.
    ///
    /// # Errors
    ///
    /// When there is none, a name is none, or stands there twice.
    pub fn new(users: impl IntoIterator<Item = BasicUser>) -> Result<Self, UsersError> {
        let mut all = Self::default();
        for (place, user) in (1..).zip(users) {
            all.add(user).map_err(|problem| UsersError::User { place, problem })?;
        }
        all.whole()
    }

    /// The users that `text` has, one a line: `NAME:HASH`, as `htpasswd -B` writes it, or
    /// `NAME:HASH:ROLE,ROLE`. Empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    ///
    /// For a line that is none, a name that stands there twice, and when there is no user.
    pub fn from_htpasswd(text: &str) -> Result<Self, UsersError> {
        let mut all = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let added = user(text).and_then(|user| all.add(user));
            added.map_err(|problem| UsersError::Line { line, problem })?;
        }
        all.whole()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The user `name`; and for others, who are not there, one whose hash stands in for theirs:
    /// `number` says which, so that to verify it takes as long as with one of the users.
    pub(super) fn user(&self, name: &str, number: u64) -> Option<(&BasicUser, bool)> {
        if let Some(place) = self.by_name.get(name) {
            return Some((self.users.get(*place)?, true));
        }
        let place = number.checked_rem(self.users.len() as u64)?;
        Some((self.users.get(usize::try_from(place).ok()?)?, false))
    }

    fn add(&mut self, user: BasicUser) -> Result<(), UserError> {
        let name = &user.name;
        let bad = name.is_empty() || name.len() > MAX_NAME || name.contains(':');
        if bad || name.chars().any(char::is_control) {
            return Err(UserError::Name);
        }
        match self.by_name.entry(name.clone()) {
            Entry::Occupied(_) => return Err(UserError::Twice),
            Entry::Vacant(entry) => drop(entry.insert(self.users.len())),
        }
        self.users.push(user);
        Ok(())
    }

    fn whole(self) -> Result<Self, UsersError> {
        match self.users.len() {
            0 => Err(UsersError::None),
            count if count > MAX_USERS => Err(UsersError::Many),
            _ => Ok(self),
        }
    }
}

fn user(text: &str) -> Result<BasicUser, UserError> {
    let (name, rest) = text.split_once(':').ok_or(UserError::Name)?;
    let (hash, roles) = rest.split_once(':').unwrap_or((rest, ""));
    let roles = roles.split(',').map(str::trim).filter(|role| !role.is_empty());
    Ok(BasicUser::new(name, PasswordHash::parse(hash)?).roles(roles))
}

impl fmt::Debug for BasicUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BasicUsers({})", self.users.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> String {
        bcrypt::hash("secret", 4).unwrap()
    }

    #[test]
    fn lines_of_htpasswd_are_read_with_roles_behind_them() {
        let text = format!("# people\n\nalice:{}\r\nbob:{}:admin, reader,\n", hash(), hash());
        let users = BasicUsers::from_htpasswd(&text).unwrap();
        let (bob, there) = users.user("bob", 0).unwrap();
        assert!(there && bob.roles == ["admin", "reader"]);
        assert!(users.user("alice", 0).unwrap().0.roles.is_empty());
        // For others, always the same one of the two.
        for number in 0..10 {
            let (stand_in, there) = users.user("carol", number).unwrap();
            let name = if number % 2 == 0 { "alice" } else { "bob" };
            assert!(!there && stand_in.name == name);
        }
        assert_eq!(format!("{users:?}"), "BasicUsers(2)");
    }

    #[test]
    fn lines_that_are_none_are_rejected_with_their_place_and_without_their_hash() {
        let read = |text: &str| BasicUsers::from_htpasswd(text).unwrap_err();
        assert_eq!(read("# nobody\n"), UsersError::None);
        let line = |line, problem| UsersError::Line { line, problem };
        assert_eq!(read("\nplanted"), line(2, UserError::Name));
        assert_eq!(read(&format!(":{}", hash())), line(1, UserError::Name));
        let twice = format!("a:{}\na:{}", hash(), hash());
        assert_eq!(read(&twice), line(2, UserError::Twice));
        let plain = read("alice:planted-secret");
        assert_eq!(plain, line(1, UserError::Hash(HashError::Unknown)));
        assert!(!format!("{plain} {plain:?}").contains("planted"));
        let none = BasicUsers::new([BasicUser::new("a:b", PasswordHash::parse(&hash()).unwrap())]);
        assert_eq!(none.unwrap_err(), UsersError::User { place: 1, problem: UserError::Name });
    }
}

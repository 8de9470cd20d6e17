//! Hosts and paths, hashed.
//!
//! Host: exact, wildcards by suffix, none. Below each: exact paths, regular expressions, and a trie
//! of segments. Everything names entries by their place in the ranked list, and knows the best
//! place below itself, so a walk can turn away early without ever missing a better entry.

use super::Map;
use super::search::Visit;
use crate::route::lookup::Lookup;
#[cfg(feature = "regex")]
use crate::route::matcher::RegexMatch;
use crate::route::matcher::{
    HostKind, PathMatch, RouteMatch, Segment, Shape, Tail, bare_host, split_segment,
};

/// Room for a lower-cased host name; longer ones are no host of the table.
const HOST_BUFFER_LENGTH: usize = 256;

/// Literal children that are compared one by one; more are hashed.
const FEW_LITERALS: usize = 4;

/// Places of entries in the ranked list, best first.
pub(super) type Places = Vec<usize>;

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) hosts: Map<Box<[u8]>, Paths>,
    /// By what follows `*.`.
    pub(super) wildcards: Map<Box<[u8]>, Paths>,
    /// The most labels in a key of `wildcards`.
    wildcard_labels: usize,
    pub(super) any_host: Paths,
}

impl Index {
    /// Adds the entry at `place`; entries come in the order of their places.
    pub(super) fn insert(&mut self, matching: &RouteMatch, place: usize) {
        let paths = match matching.host.as_ref().map(crate::route::HostMatch::kind) {
            None => &mut self.any_host,
            Some(HostKind::Exact(name)) => self.hosts.entry(name.as_bytes().into()).or_default(),
            Some(HostKind::Wildcard(rest)) => {
                self.wildcard_labels = self.wildcard_labels.max(rest.split('.').count());
                self.wildcards.entry(rest.as_bytes().into()).or_default()
            }
        };
        paths.insert(&matching.path, place);
    }

    /// Shows `visit` every entry that takes the host and the path, in the order of rank as far as
    /// the structure has one.
    pub(super) fn visit(&self, lookup: &Lookup<'_>, visit: &mut impl Visit) {
        let has_hosts = !self.hosts.is_empty() || !self.wildcards.is_empty();
        if let Some(host) = lookup.host.filter(|_| has_hosts) {
            let host = bare_host(host).as_bytes();
            if host.iter().any(u8::is_ascii_uppercase) {
                let mut buffer = [0; HOST_BUFFER_LENGTH];
                if let Some(host) = lower_case(host, &mut buffer) {
                    self.visit_host(host, lookup, visit);
                }
            } else {
                self.visit_host(host, lookup, visit);
            }
        }
        self.any_host.visit(lookup.path, visit);
    }

    fn visit_host(&self, host: &[u8], lookup: &Lookup<'_>, visit: &mut impl Visit) {
        if let Some(paths) = self.hosts.get(host) {
            paths.visit(lookup.path, visit);
        }
        self.each_wildcard(host, |paths| paths.visit(lookup.path, visit));
    }

    /// The wildcards that take `host`, lower-cased: longest first.
    pub(super) fn each_wildcard<'i>(&'i self, host: &[u8], mut found: impl FnMut(&'i Paths)) {
        if self.wildcards.is_empty() {
            return;
        }
        let labels = 1 + memchr::memchr_iter(b'.', host).count();
        // A suffix with more labels than any key is not hashed: hosts can have many labels.
        let skipped = labels.saturating_sub(self.wildcard_labels + 1);
        for dot in memchr::memchr_iter(b'.', host).skip(skipped).filter(|dot| *dot > 0) {
            let suffix = host.get(dot + 1..).unwrap_or_default();
            if let Some(paths) = self.wildcards.get(suffix) {
                found(paths);
            }
        }
    }
}

fn lower_case<'b>(host: &[u8], buffer: &'b mut [u8; HOST_BUFFER_LENGTH]) -> Option<&'b [u8]> {
    let target = buffer.get_mut(..host.len())?;
    target.copy_from_slice(host);
    target.make_ascii_lowercase();
    Some(target)
}

/// The paths of one host.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) exact: Map<Box<str>, Places>,
    #[cfg(feature = "regex")]
    pub(super) regexes: Vec<(RegexMatch, usize)>,
    nodes: Vec<Node>,
}

/// A node of the trie: what may follow some segments.
#[derive(Debug)]
pub(super) struct Node {
    /// The best place in this node and below; `usize::MAX` where there is none.
    best: usize,
    literals: Literals,
    affixed: Vec<(Segment, usize)>,
    parameter: Option<usize>,
    /// Templates that end here.
    pub(super) end: Places,
    /// Templates with `{*rest}` here.
    pub(super) rest: Places,
    /// Prefixes that end here.
    pub(super) prefix: Places,
}

#[derive(Debug)]
enum Literals {
    Few(Vec<(Box<str>, usize)>),
    Many(Map<Box<str>, usize>),
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            exact: Map::default(),
            #[cfg(feature = "regex")]
            regexes: Vec::new(),
            nodes: vec![Node::default()],
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            best: usize::MAX,
            literals: Literals::Few(Vec::new()),
            affixed: Vec::new(),
            parameter: None,
            end: Places::new(),
            rest: Places::new(),
            prefix: Places::new(),
        }
    }
}

impl Paths {
    fn insert(&mut self, path: &PathMatch, place: usize) {
        let (segments, tail) = match path.shape() {
            Shape::Exact(text) => {
                self.exact.entry(text.clone()).or_default().push(place);
                return;
            }
            #[cfg(feature = "regex")]
            Shape::Regex(regex) => {
                self.regexes.push((regex.clone(), place));
                return;
            }
            Shape::Segments { segments, tail, .. } => (segments, tail),
        };
        let mut number = 0;
        self.note_best(number, place);
        for segment in segments {
            number = self.child_for(number, segment);
            self.note_best(number, place);
        }
        if let Some(node) = self.nodes.get_mut(number) {
            match tail {
                Tail::End => node.end.push(place),
                Tail::Rest => node.rest.push(place),
                Tail::Prefix => node.prefix.push(place),
            }
        }
    }

    fn note_best(&mut self, number: usize, place: usize) {
        if let Some(node) = self.nodes.get_mut(number) {
            node.best = node.best.min(place);
        }
    }

    /// The child of node `number` for `segment`, made if need be.
    fn child_for(&mut self, number: usize, segment: &Segment) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(number) else {
            return new;
        };
        if let Some(known) = node.child(segment) {
            return known;
        }
        match segment {
            Segment::Literal(text) => node.literals.insert(text.clone(), new),
            Segment::Affixed { .. } => node.affixed.push((segment.clone(), new)),
            Segment::Parameter => node.parameter = Some(new),
        }
        self.nodes.push(Node::default());
        new
    }

    pub(super) fn node(&self, number: usize) -> Option<&Node> {
        self.nodes.get(number)
    }

    pub(super) fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    pub(super) fn visit(&self, path: &str, visit: &mut impl Visit) {
        if let Some(places) = self.exact.get(path) {
            visit.visit(places);
        }
        #[cfg(feature = "regex")]
        for (regex, place) in &self.regexes {
            if *place >= visit.limit() {
                break;
            }
            if regex.takes(path) {
                visit.visit(std::slice::from_ref(place));
            }
        }
        if let (Some(root), Some(rest)) = (self.root(), path.strip_prefix('/')) {
            self.descend(root, Some(rest), visit);
        }
    }

    /// Walks the trie below `node`. Depth is bounded by the longest pattern, and every node is seen
    /// at most once, whatever the path.
    fn descend(&self, node: &Node, remaining: Option<&str>, visit: &mut impl Visit) {
        if node.best >= visit.limit() {
            return;
        }
        if let Some(rest) = remaining {
            let (head, next) = split_segment(rest);
            if let Some(child) = node.literals.child(head).and_then(|child| self.node(child)) {
                self.descend(child, next, visit);
            }
            for (segment, child) in &node.affixed {
                if segment.takes(head)
                    && let Some(child) = self.node(*child)
                {
                    self.descend(child, next, visit);
                }
            }
            if let Some(child) = node.parameter.filter(|_| !head.is_empty())
                && let Some(child) = self.node(child)
            {
                self.descend(child, next, visit);
            }
            if !rest.is_empty() {
                visit.visit(&node.rest);
            }
        } else {
            visit.visit(&node.end);
        }
        visit.visit(&node.prefix);
    }
}

impl Node {
    pub(super) const fn best(&self) -> usize {
        self.best
    }

    /// The child for just this segment.
    pub(super) fn child(&self, segment: &Segment) -> Option<usize> {
        match segment {
            Segment::Literal(text) => self.literals.child(text),
            Segment::Affixed { .. } => {
                self.affixed.iter().find(|(known, _)| known == segment).map(|(_, child)| *child)
            }
            Segment::Parameter => self.parameter,
        }
    }

    pub(super) fn affixed(&self) -> &[(Segment, usize)] {
        &self.affixed
    }

    pub(super) const fn parameter(&self) -> Option<usize> {
        self.parameter
    }
}

impl Literals {
    fn child(&self, text: &str) -> Option<usize> {
        match self {
            Self::Few(children) => {
                children.iter().find(|(known, _)| **known == *text).map(|(_, child)| *child)
            }
            Self::Many(children) => children.get(text).copied(),
        }
    }

    fn insert(&mut self, text: Box<str>, child: usize) {
        match self {
            Self::Few(children) if children.len() < FEW_LITERALS => children.push((text, child)),
            Self::Few(children) => {
                let mut many: Map<_, _> = std::mem::take(children).into_iter().collect();
                many.insert(text, child);
                *self = Self::Many(many);
            }
            Self::Many(children) => {
                children.insert(text, child);
            }
        }
    }
}

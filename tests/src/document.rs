//! Documents for the program under test.

use std::fmt::Write;

/// The document of a gateway with one listener, one cluster and one route that takes everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// As TOML: texts or tables.
    pub(crate) endpoints: Vec<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) top: Vec<String>,
    pub(crate) listener: Vec<String>,
    pub(crate) cluster: Vec<String>,
    pub(crate) route: Vec<String>,
    pub(crate) more: Vec<String>,
}

impl Document {
    /// The text, with `{listen}` where the address belongs.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut say = |line: &str| writeln!(text, "{line}").expect("a string takes everything");
        self.top.iter().for_each(|line| say(line));
        say("[[listeners]]\nname = \"public\"\naddress = \"{listen}\"");
        self.listener.iter().for_each(|line| say(line));
        say("[clusters.upstream]");
        say(&format!("endpoints = [{}]", self.endpoints.join(", ")));
        self.cluster.iter().for_each(|line| say(line));
        say("[[routes]]\nid = \"all\"\nmatch = { prefix = \"/\" }");
        say("target = { cluster = \"upstream\" }");
        if let Some(timeout) = &self.timeout {
            say(&format!("policy.timeout = {timeout:?}"));
        }
        self.route.iter().for_each(|line| say(line));
        self.more.iter().for_each(|line| say(line));
        text
    }
}

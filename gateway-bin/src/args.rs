//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gateway_core::{Address, EndpointAddress};
use http::{HeaderName, HeaderValue, Method, Uri};
use ipnet::IpNet;

/// An API gateway: one binary, one document.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What is logged, such as `info` or `warn,gateway_core=debug`.
    #[arg(long, global = true, env = "RUST_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Forward everything to one place, without a document.
    Proxy(Proxy),
    /// Serve what a document says.
    Run(Document),
    /// Say everything that is wrong with a document. Exits with 1 where it would not run.
    Check(Check),
    /// Say what would become of a request, and why.
    Explain(Explain),
    /// List every answer that the gateway makes itself.
    Reasons(Reasons),
    /// Issue, list and take back API keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Serve an example with modules of its own and an upstream, and show what to try.
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(crate) struct Document {
    /// The document (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) document: Document,
    /// Treat warnings as errors: exit with 1 if there is any.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Proxy {
    /// Where clients come in: `IP:PORT` or `unix:/PATH`.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Address,
    /// Where requests go: `http://`, `h2c://` or `unix:`. Several share the load.
    #[arg(long, value_name = "URL", required = true)]
    pub(crate) to: Vec<EndpointAddress>,
    /// Threads that serve; 0 is one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) workers: u16,
    /// What `Host` the upstream sees: the client's, or the endpoint's own.
    #[arg(long, value_enum, default_value_t = Host::Preserve)]
    pub(crate) host: Host,
    /// Log one line for each request.
    #[arg(long)]
    pub(crate) access_log: bool,
    /// After a signal, go on as before for this many seconds before connections are closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) lame_duck: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Host {
    Preserve,
    Endpoint,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The method, such as `GET`.
    pub(crate) method: Method,
    /// The URL as a client would ask for it, or only its path.
    pub(crate) url: Uri,
    /// A header line, such as `x-env: canary`.
    #[arg(short = 'H', long = "header", value_name = "LINE", value_parser = header_line)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    #[command(flatten)]
    pub(crate) document: Document,
    /// The listener that the request comes in on. Default: the first of the URL's scheme.
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
}

fn header_line(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').ok_or("expected `NAME: VALUE`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is no header name"))?;
    let value = value.trim().parse().map_err(|_| "the value cannot stand in a header")?;
    Ok((name, value))
}

#[derive(Debug, Args)]
pub(crate) struct Reasons {
    /// As JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is done with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key. It is written to standard output, once: nobody keeps it.
    Issue {
        #[command(flatten)]
        provider: Provider,
        #[command(flatten)]
        grant: Grant,
    },
    /// Take a key that somebody else has made, from standard input.
    Import {
        #[command(flatten)]
        provider: Provider,
        /// What lists and logs call it.
        id: String,
        #[command(flatten)]
        grant: Grant,
    },
    /// Say which keys there are.
    List {
        #[command(flatten)]
        provider: Provider,
        /// As JSON, one key a line, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Make a key that takes the place of another. It is written to standard output, once.
    Rotate {
        #[command(flatten)]
        provider: Provider,
        /// The key that is replaced.
        id: String,
        /// How long the old one is taken beside the new one, such as `24h`.
        #[arg(long, value_name = "TIME", value_parser = duration)]
        overlap: Duration,
    },
    /// Take a key back. It stays in the list.
    Revoke {
        #[command(flatten)]
        provider: Provider,
        /// The key.
        id: String,
    },
    /// Forget a key, as if it had never been.
    Remove {
        #[command(flatten)]
        provider: Provider,
        /// The key.
        id: String,
    },
    /// Make the table in Postgres where keys are kept.
    CreateTable {
        #[command(flatten)]
        provider: Provider,
        /// Only say how.
        #[arg(long)]
        print: bool,
    },
}

/// Which keys of a document.
#[derive(Debug, Args)]
pub(crate) struct Provider {
    #[command(flatten)]
    pub(crate) document: Document,
    /// The name of `[identity.api_key.NAME]`. Default: the only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: Option<String>,
}

/// What a key gives.
#[derive(Debug, Args)]
pub(crate) struct Grant {
    /// Whose it is.
    #[arg(long)]
    pub(crate) owner: String,
    /// What it is for.
    #[arg(long, default_value = "")]
    pub(crate) name: String,
    /// The class that limits go by.
    #[arg(long)]
    pub(crate) tier: Option<String>,
    /// The organisation on whose behalf.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// What its holder is. Several times.
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// What its holder may do. Several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// A number of its own, such as `month=10000`. Several times.
    #[arg(long, value_name = "NAME=NUMBER", value_parser = quota)]
    pub(crate) quota: Vec<(String, i64)>,
    /// When it ends: a time such as `2026-12-31T23:59:59Z`, or how long it is taken, such as `90d`.
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    /// A network from which it is taken, such as `10.0.0.0/8`. Several times. Default: all.
    #[arg(long = "network", value_name = "NETWORK")]
    pub(crate) networks: Vec<IpNet>,
    /// A route on which it is taken, by its id. Several times. Default: all.
    #[arg(long = "route", value_name = "ID")]
    pub(crate) routes: Vec<String>,
}

fn quota(text: &str) -> Result<(String, i64), String> {
    let (name, number) = text.split_once('=').ok_or("expected `NAME=NUMBER`")?;
    let number = number.parse().map_err(|_| format!("`{number}` is no whole number"))?;
    if name.is_empty() {
        Err("a number without a name".to_owned())
    } else {
        Ok((name.to_owned(), number))
    }
}

/// Seconds, minutes, hours or days.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    found
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a time such as `24h` or `90d`".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_and_numbers_of_keys() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        for wrong in ["", "24", "h", "-1h", "1w", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(quota("month=10"), Ok(("month".to_owned(), 10)));
        assert!(quota("month").is_err() && quota("=1").is_err() && quota("month=many").is_err());
    }

    #[test]
    fn header_lines() {
        let (name, value) = header_line("X-Env:  canary ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-env", "canary"));
        assert_eq!(header_line("x-env").unwrap_err(), "expected `NAME: VALUE`");
        assert_eq!(header_line("x env: a").unwrap_err(), "`x env` is no header name");
        assert!(header_line("x-env: a\nb").is_err());
    }
}

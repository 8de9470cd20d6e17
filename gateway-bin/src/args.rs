//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gateway_core::{Address, EndpointAddress};
use http::{HeaderName, HeaderValue, Method, Uri};

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
    Check(Document),
    /// Say what would become of a request, and why.
    Explain(Explain),
    /// List every answer that the gateway makes itself.
    Reasons(Reasons),
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
    /// The listener that the request comes in on. Default: the first.
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
    fn header_lines() {
        let (name, value) = header_line("X-Env:  canary ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-env", "canary"));
        assert_eq!(header_line("x-env").unwrap_err(), "expected `NAME: VALUE`");
        assert_eq!(header_line("x env: a").unwrap_err(), "`x env` is no header name");
        assert!(header_line("x-env: a\nb").is_err());
    }
}

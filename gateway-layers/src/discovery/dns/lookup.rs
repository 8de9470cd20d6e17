//! [`Lookup`]: one question after the other until the endpoints are known.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::future::join;
use futures_util::{StreamExt, stream};
use gateway_core::upstream::EndpointSpec;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::{DnsConfig, DnsRecords};
use crate::discovery::failure::Failure;
use crate::discovery::feed::Found;
use crate::discovery::{Family, MAX_ENDPOINTS, entry};

/// The most targets of SRV records; each is a question of its own.
const MAX_TARGETS: usize = 1_000;

/// So many targets are asked for at the same time.
const AT_ONCE: usize = 16;

/// Asks for everything that makes one set.
pub(super) struct Lookup<'a> {
    pub(super) config: &'a DnsConfig,
    pub(super) resolver: TokioResolver,
    pub(super) name: Name,
}

/// What a name server answered. Without records: there is none, and that is certain.
struct Answer<T> {
    records: Vec<T>,
    /// The shortest time to live, in seconds.
    ttl: u32,
    /// Why records of the other family could not be had.
    problem: Option<String>,
}

impl<T> Answer<T> {
    fn none() -> Self {
        Self { records: Vec::new(), ttl: u32::MAX, problem: None }
    }

    fn and(mut self, other: Self) -> Self {
        self.records.extend(other.records);
        Self { records: self.records, ttl: self.ttl.min(other.ttl), ..self }
    }

    /// Both answers. One that failed is left out where the other one has records, and reported: a
    /// name server that answers SERVFAIL, or nothing, to one type is no reason to do without the
    /// other.
    fn either(one: Result<Self, Failure>, other: Result<Self, Failure>) -> Result<Self, Failure> {
        match (one, other) {
            (Ok(one), Ok(other)) => Ok(one.and(other)),
            (Ok(good), Err(failure)) | (Err(failure), Ok(good)) if !good.records.is_empty() => {
                Ok(Self { problem: Some(failure.to_string()), ..good })
            }
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        }
    }
}

impl Lookup<'_> {
    /// The endpoints, and the shortest time to live of the records they come from.
    pub(super) async fn run(&self) -> Result<(Found, u32), Failure> {
        match self.config.records {
            DnsRecords::Addresses { port } => self.addresses(port).await,
            DnsRecords::Srv => self.targets().await,
        }
    }

    async fn addresses(&self, port: u16) -> Result<(Found, u32), Failure> {
        let answer = addresses(&self.resolver, self.name.clone(), self.config.family).await?;
        if answer.records.is_empty() {
            return Err(Failure::Other(format!("`{}` has no address", self.name)));
        }
        let mut endpoints = Vec::new();
        for address in answer.records {
            endpoints.push(self.endpoint(address, port)?);
        }
        let mut found = Found::from(endpoints);
        found.left_out = answer.problem;
        Ok((found, answer.ttl))
    }

    async fn targets(&self) -> Result<(Found, u32), Failure> {
        let answer = ask(&self.resolver, self.name.clone(), RecordType::SRV, |data| match data {
            RData::SRV(record) => Some(record.clone()),
            _ => None,
        })
        .await?;
        if answer.records.is_empty() {
            return Err(Failure::Other(format!("`{}` has no SRV record", self.name)));
        }
        // A target of `.` says that the service is not there (RFC 2782).
        let records: Vec<_> =
            answer.records.into_iter().filter(|record| !record.target.is_root()).collect();
        let resolved = self.resolve(&records).await?;
        let mut ttl = answer.ttl;
        let mut found = Found::default();
        for record in records {
            let Some(target) = resolved.get(&record.target) else {
                continue;
            };
            ttl = ttl.min(target.ttl);
            if let Some(problem) = &target.problem {
                found.left_out.get_or_insert_with(|| problem.clone());
            }
            if target.records.is_empty() {
                let problem =
                    || format!("target `{}` is left out: it has no address", record.target);
                found.left_out.get_or_insert_with(problem);
            }
            for address in &target.records {
                let endpoint = self.endpoint(*address, record.port)?;
                let weight = u32::from(record.weight).max(1);
                found.endpoints.push(endpoint.weight(weight).priority(record.priority.into()));
            }
            if found.endpoints.len() > MAX_ENDPOINTS {
                return Err(Failure::TooMany(found.endpoints.len()));
            }
        }
        Ok((found, ttl))
    }

    /// The addresses of every target. One that cannot be asked for fails all of them: a set without
    /// it would be a set that nobody meant.
    async fn resolve(&self, records: &[SRV]) -> Result<BTreeMap<Name, Answer<IpAddr>>, Failure> {
        let mut targets: Vec<_> = records.iter().map(|record| record.target.clone()).collect();
        targets.sort();
        targets.dedup();
        if targets.len() > MAX_TARGETS {
            let problem = format!("{} targets, expected {MAX_TARGETS} at most", targets.len());
            return Err(Failure::Other(problem));
        }
        let family = self.config.family;
        let questions = targets.into_iter().map(|target| {
            let resolver = self.resolver.clone();
            async move {
                let answer = addresses(&resolver, target.clone(), family).await;
                answer.map(|answer| (target, answer))
            }
        });
        let mut answers = stream::iter(questions).buffer_unordered(AT_ONCE);
        let mut resolved = BTreeMap::new();
        while let Some(answer) = answers.next().await {
            let (target, answer) = answer?;
            resolved.insert(target, answer);
        }
        Ok(resolved)
    }

    fn endpoint(&self, address: IpAddr, port: u16) -> Result<EndpointSpec, Failure> {
        let address = entry::at(self.config.transport, &address.to_string(), port)
            .map_err(|problem| Failure::unreadable("the answer", &problem))?;
        Ok(EndpointSpec::new(address))
    }
}

async fn addresses(
    resolver: &TokioResolver,
    name: Name,
    family: Family,
) -> Result<Answer<IpAddr>, Failure> {
    let v4 = || ask(resolver, name.clone(), RecordType::A, address);
    let v6 = || ask(resolver, name.clone(), RecordType::AAAA, address);
    match family {
        Family::V4 => v4().await,
        Family::V6 => v6().await,
        Family::V4First => first_of(v4(), v6()).await,
        Family::V6First => first_of(v6(), v4()).await,
        Family::Both => {
            let (v4, v6) = join(v4(), v6()).await;
            Answer::either(v4, v6)
        }
    }
}

/// The first answer; the second one where the first has no records or fails.
async fn first_of<T>(
    first: impl Future<Output = Result<Answer<T>, Failure>>,
    second: impl Future<Output = Result<Answer<T>, Failure>>,
) -> Result<Answer<T>, Failure> {
    match first.await {
        Ok(answer) if !answer.records.is_empty() => Ok(answer),
        first => Answer::either(first, second.await),
    }
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

/// Asks for the records of one type. No such name and no such record are an answer.
async fn ask<T>(
    resolver: &TokioResolver,
    name: Name,
    kind: RecordType,
    wanted: impl Fn(&RData) -> Option<T>,
) -> Result<Answer<T>, Failure> {
    let lookup = match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return Ok(Answer::none()),
        Err(error) => return Err(failure(&name, kind, &error)),
    };
    // The records of the way there (CNAME) hold no longer than those at its end.
    let ttl = lookup.answers().iter().map(|record| record.ttl).min();
    let records = lookup.answers().iter().filter_map(|record| wanted(&record.data)).collect();
    Ok(Answer { records, ttl: ttl.unwrap_or(u32::MAX), problem: None })
}

fn failure(name: &Name, kind: RecordType, error: &NetError) -> Failure {
    Failure::Other(format!("{kind} of `{name}`: {error}"))
}

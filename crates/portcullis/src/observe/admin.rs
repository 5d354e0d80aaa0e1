//! The gateway as the admin API sees it.

use super::{View, gauges};
use crate::reload::Reloader;
use portcullis_admin::gateway::{
    BlockView, CertificateView, ConsumerView, ControlView, Desk, Gateway, RouteView, ServerView, UpstreamView,
};
use portcullis_admin::server::Wait;
use portcullis_core::{Code, Level, OperationUse};
use portcullis_proxy::{GroupServer, UpstreamGroup};
use portcullis_runtime::blocks::Block;
use portcullis_telemetry::watch::Watch;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the admin listener of a configuration sees.
pub(crate) struct Seat {
    pub(crate) view: View,
    pub(crate) watch: Arc<Watch>,
}

impl Seat {
    fn gateway<T>(&self, ask: impl FnOnce(&Reloader) -> T) -> Option<T> {
        self.view.gateway().as_ref().map(ask)
    }
}

/// Time since 1970, by the clock that requests are judged by.
fn now(gateway: &Reloader) -> Duration {
    gateway.effects().now().unix
}

impl Gateway for Seat {
    fn is_ready(&self) -> bool {
        self.gateway(Reloader::is_serving).unwrap_or(false)
    }

    fn status(&self) -> Value {
        self.gateway(|gateway| gateway.status().json()).unwrap_or_default()
    }

    fn configuration(&self) -> Value {
        self.gateway(|gateway| Value::clone(&gateway.seen().effective)).unwrap_or_default()
    }

    fn routes(&self) -> Vec<RouteView> {
        let Some(seen) = self.gateway(Reloader::seen) else { return Vec::new() };
        let target = |route: &portcullis_core::Route| seen.targets.get(route.target.0 as usize).cloned();
        seen.plan
            .routes
            .iter()
            .map(|route| RouteView {
                path: route.path.clone(),
                hosts: route.hosts.clone(),
                methods: route.methods.to_string(),
                target: target(route).unwrap_or_default(),
                controls: route
                    .controls
                    .list()
                    .into_iter()
                    .map(|control| ControlView {
                        stage: control.stage.to_owned(),
                        check: control.id.to_owned(),
                        mode: control.mode.as_str().to_owned(),
                        summary: control.summary,
                    })
                    .collect(),
            })
            .collect()
    }

    fn operations(&self) -> Vec<OperationUse> {
        let Some(seen) = self.gateway(Reloader::seen) else { return Vec::new() };
        super::operations::of(&seen.plan)
    }

    fn consumers(&self) -> Vec<ConsumerView> {
        let Some(seen) = self.gateway(Reloader::seen) else { return Vec::new() };
        seen.plan
            .consumers
            .iter()
            .map(|one| ConsumerView {
                name: one.name.clone(),
                roles: one.roles.clone(),
                scopes: one.scopes.clone(),
            })
            .collect()
    }

    fn desk(&self) -> Option<Arc<dyn Desk>> {
        let desk = self.gateway(Reloader::seen)?.keys?;
        Some(desk)
    }

    fn certificates(&self) -> Vec<CertificateView> {
        let Some(seen) = self.gateway(Reloader::seen) else { return Vec::new() };
        seen.protections
            .iter()
            .map(|(listener, tls)| CertificateView {
                listener: listener.clone(),
                names: tls.names(),
                expires: tls.expires().map(|end| end.as_secs()),
                handshakes: tls.handshakes_completed(),
            })
            .collect()
    }

    fn upstreams(&self) -> Vec<UpstreamView> {
        let Some(seen) = self.gateway(Reloader::seen) else { return Vec::new() };
        let now = std::time::Instant::now();
        let server = |group: &UpstreamGroup, server: &GroupServer| {
            let (state, counts) = (&server.state, server.state.counts());
            ServerView {
                url: server.url.clone(),
                weight: server.weight,
                state: group.standing(server, now).as_str().to_owned(),
                last_check: state.found(),
                running: counts.running,
                requests: counts.requests,
                failures: counts.failures,
                retries: counts.retries,
                ejections: state.ejected(),
            }
        };
        seen.groups
            .iter()
            .map(|group| UpstreamView {
                name: group.name.to_string(),
                balance: group.balance.to_string(),
                servers: group.present().iter().map(|one| server(group, one)).collect(),
            })
            .collect()
    }

    fn metrics(&self) -> String {
        self.watch.metrics.text(|to| gauges::write(&self.view, to))
    }

    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn detection(&self) -> Option<Arc<portcullis_telemetry::Detection>> {
        self.gateway(Reloader::seen)?.detection
    }

    fn meaning(&self, code: &str) -> Option<&'static str> {
        Code::ALL.iter().find(|known| known.as_str() == code).map(|known| known.meaning())
    }

    fn blocks(&self) -> Vec<BlockView> {
        let all = self.gateway(|gateway| gateway.state().blocks().list(now(gateway))).unwrap_or_default();
        all.into_iter()
            .map(|(source, block)| BlockView {
                source,
                consumer: block.consumer,
                until: block.until.as_secs(),
                reason: block.reason,
            })
            .collect()
    }

    fn block(&self, source: IpAddr, time: Duration, reason: &str) -> Result<(), String> {
        let done = self.gateway(|gateway| {
            let now = now(gateway);
            let until = now.saturating_add(time);
            let block = Block { consumer: None, until, reason: reason.to_owned() };
            let done = gateway.state().blocks().block(source, block, now);
            gateway.keep_blocks();
            done
        });
        match done {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err("as many addresses are blocked as can be; end a block first".to_owned()),
            None => Err("the gateway does not serve".to_owned()),
        }
    }

    fn unblock(&self, source: IpAddr) -> bool {
        let done = self.gateway(|gateway| {
            let there = gateway.state().blocks().unblock(source, now(gateway));
            gateway.keep_blocks();
            there
        });
        done.unwrap_or(false)
    }

    fn reload(&self) -> Wait<Result<Value, String>> {
        let gateway = self.view.gateway();
        Box::pin(async move {
            let gateway = gateway.ok_or("the gateway does not serve")?;
            let file = gateway.file().ok_or("this gateway has no configuration file to read again")?;
            gateway.reload_file(&file).await.map(|status| status.json()).map_err(|error| error.to_string())
        })
    }

    fn log_level(&self) -> Option<Level> {
        self.gateway(|gateway| gateway.notices().level()).flatten()
    }

    fn set_log_level(&self, level: Option<Level>) {
        let _ = self.gateway(|gateway| gateway.notices().set_level(level));
    }

    fn audit_head(&self) -> Option<(u64, String)> {
        self.gateway(Reloader::seen)?.audit?.head()
    }

    fn tell(&self, what: &str) {
        let _ = self.gateway(|gateway| gateway.effects().notice("admin", what));
    }
}

/// What the socket in the `state_dir` answers about traffic.
pub(crate) fn top(watch: &Watch, detection: Option<&portcullis_telemetry::Detection>) -> Value {
    let findings = detection.map(|detection| {
        let all = detection.findings().into_iter().filter(|finding| finding.open).take(10);
        all.map(|finding| json!(finding)).collect::<Vec<_>>()
    });
    let samples = watch.history.samples();
    let last: Vec<_> = samples
        .iter()
        .rev()
        .take(12)
        .map(|sample| {
            let endings: serde_json::Map<String, Value> = sample
                .endings
                .iter()
                .map(|(ending, count)| (ending.as_str().to_owned(), (*count).into()))
                .collect();
            json!({
                "at": sample.at,
                "outcomes": endings,
                "refusals": sample.refusals,
                "gateway_p99_seconds": sample.gateway.quantile(0.99).filter(|value| value.is_finite()),
                "upstream_p99_seconds": sample.upstream.quantile(0.99).filter(|value| value.is_finite()),
            })
        })
        .collect();
    let sources: Vec<_> = watch
        .sources
        .top(10)
        .into_iter()
        .map(|(source, traffic)| json!({ "source": source, "requests": traffic.requests, "refused": traffic.refused }))
        .collect();
    json!({
        "interval_seconds": portcullis_telemetry::history::INTERVAL.as_secs(),
        "samples": last,
        "sources": sources,
        "findings": findings,
    })
}

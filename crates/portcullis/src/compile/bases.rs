//! What a route inherits: the gateway's `security`, or a profile's sections over it.
//!
//! Decides what a profile is and which one a route has. A profile that is not defined, or that no route uses, is reported.

use crate::document::{GatewayConfig, RouteSecurityConfig};
use portcullis_checks::security::CompiledSecurity;
use portcullis_checks::{Build, SecurityConfig};
use portcullis_config::{Context, Spanned, suggest};
use portcullis_core::Controls;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a route inherits.
#[derive(Default)]
pub(super) struct Base {
    /// As it is written.
    pub(super) config: Option<SecurityConfig>,
    /// As it was compiled.
    pub(super) compiled: CompiledSecurity,
    /// The controls of every route that inherits this and adds nothing.
    pub(super) shared: Option<Arc<Controls>>,
    /// The controls of every public route that inherits this and adds nothing, by the reason for being public.
    pub(super) public: BTreeMap<String, Arc<Controls>>,
    used: bool,
}

/// What routes can inherit.
pub(super) struct Bases {
    gateway: Base,
    profiles: BTreeMap<String, Base>,
}

impl Bases {
    /// Compiles the gateway's section and every profile, each once.
    pub(super) fn compile(config: &GatewayConfig, build: &mut Build, cx: &mut Context) -> Bases {
        let own = config.security.as_ref();
        let compiled = match own {
            None => CompiledSecurity::default(),
            Some(security) => cx.at("security", |cx| security.compile(build, cx)).unwrap_or_default(),
        };
        super::lint::roles(own, None, build, cx);
        let gateway = Base { config: own.cloned(), compiled, ..Base::default() };
        let mut profiles = BTreeMap::new();
        for (name, profile) in &config.security_profiles {
            // A profile's limits are found again by its name, whatever other profiles there are.
            build.scope = Arc::from(format!("profile {name}"));
            // A profile's limits are found again by its name, whatever other profiles there are.
            build.scope = Arc::from(format!("profile {name}"));
            let compiled = cx.at("security_profiles", |cx| cx.at(name, |cx| profile.compile(build, cx)));
            super::lint::roles(Some(profile), own, build, cx);
            let base = Base {
                config: Some(profile.over(own)),
                compiled: compiled.unwrap_or_default().over(&gateway.compiled),
                ..Base::default()
            };
            profiles.insert(name.clone(), base);
        }
        build.scope = Arc::from("gateway");
        build.scope = Arc::from("gateway");
        Bases { gateway, profiles }
    }

    /// The gateway's own sections.
    pub(super) fn gateway(&self) -> &CompiledSecurity {
        &self.gateway.compiled
    }

    /// What a route with this section inherits. `None` means that an error was pushed.
    pub(super) fn of(&mut self, route: Option<&RouteSecurityConfig>, cx: &mut Context) -> Option<&mut Base> {
        let Some(Spanned { value: name, span }) = route.and_then(|route| route.profile.as_ref()) else {
            return Some(&mut self.gateway);
        };
        if !self.profiles.contains_key(name) {
            let problem = cx.error("config.no_profile", *span, format!("there is no profile `{name}`"));
            match suggest::closest(name, self.profiles.keys().map(String::as_str)) {
                Some(closest) => problem.label(format!("did you mean `{closest}`?")),
                None => problem.help("define it under `security_profiles`"),
            };
            return None;
        }
        let base = self.profiles.get_mut(name)?;
        base.used = true;
        Some(base)
    }

    /// Warns of profiles that no route uses: what they say judges nothing.
    pub(super) fn warn_of_unused(&self, cx: &mut Context) {
        for (name, base) in self.profiles.iter().filter(|(_, base)| !base.used) {
            let at = base.config.as_ref().map_or(portcullis_config::Span::NONE, |config| config.at);
            cx.warning("config.unused_profile", at, format!("no route uses the profile `{name}`"))
                .help(format!("write `security: {{ use: {name} }}` in a route, or remove the profile"));
        }
    }
}

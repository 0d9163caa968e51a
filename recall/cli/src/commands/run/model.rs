//! The model that a person names.

use std::path::Path;
use std::sync::Arc;

use harness_experience::model::Model;
use harness_experience::model::connected::{Connected, PROVIDERS, Provider, provider_of};
use harness_experience::model::scripted::Scripted;

use crate::report::Advice;
use crate::settings::{ProviderPart, Settings};

/// The model of this name, and the name. The environment goes before the home's settings.
///
/// One that does not say what it costs is refused where `counts_cost`: the bound would hold nothing.
pub(super) fn named(
    name: Option<&str>,
    settings: &Settings,
    counts_cost: bool,
) -> anyhow::Result<(String, Arc<dyn Model>)> {
    let by_environment = variable("HARNESS_MODEL");
    let Some(name) = name.or(by_environment.as_deref()).or(settings.run_model.as_deref()) else {
        let hint = "name one: --model anthropic/claude-sonnet-4-5, HARNESS_MODEL, or run.model in the home's \
                    config.toml; or let another agent do it: --with claude-code";
        return Err(Advice::error("no model is named", hint));
    };
    let providers = || {
        let own = settings.providers.keys().map(String::as_str);
        let known = PROVIDERS.iter().map(|known| known.name).filter(|name| !settings.providers.contains_key(*name));
        known.chain(own).collect::<Vec<_>>().join(", ")
    };
    let Some((provider, model)) = name.split_once('/').filter(|(_, model)| !model.is_empty()) else {
        return Err(Advice::error(
            format!("{name:?} is no model"),
            format!("provider/name; providers: {}", providers()),
        ));
    };
    if provider == "scripted" {
        let scripted = Scripted::read(Path::new(model))
            .map_err(|error| Advice::error(error, "one reply a line: {\"text\": …, \"calls\": […]}"))?;
        return Ok((name.to_owned(), Arc::new(scripted)));
    }
    let said = settings.providers.get(provider).cloned().unwrap_or_default();
    let like = said.like.as_deref().unwrap_or(provider);
    let Some(known) = provider_of(like) else {
        let hint = format!(
            "there are: {}; an OpenAI-compatible service is openai with OPENAI_BASE_URL, or [models.{provider}] with \
             like = \"openai\" and url in the home's config.toml",
            providers()
        );
        return Err(Advice::error(format!("there is no provider {like:?}"), hint));
    };
    let own = provider == known.name;
    let by_environment = if own { variable(known.url_variable) } else { None };
    let url = by_environment.or_else(|| said.url.clone());
    let key = key(provider, known, &said)?;
    let connected = Connected::new(known, model, key, url)
        .map_err(|error| Advice::error(format!("cannot use {name}: {error}"), "check the name and the base URL"))?;
    if counts_cost && said.price().is_none() {
        let hint = format!(
            "usd_per_million_read = … and usd_per_million_written = … under [models.{provider}] in the home's config.toml"
        );
        return Err(Advice::error(format!("what {name} costs is not known, so that --cost bounds nothing"), hint));
    }
    Ok((name.to_owned(), Arc::new(connected.spoken_of_as(name).at_price(said.price()))))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The key of a provider; one that is missing is an error which names the variable.
fn key(provider: &str, known: &Provider, said: &ProviderPart) -> anyhow::Result<Option<String>> {
    let named = said.key_variable.as_deref();
    // A service of one's own does not get the key of the provider that it speaks like.
    let wanted = named.or(known.key_variable.filter(|_| provider == known.name));
    if let Some(key) = wanted.and_then(variable).or_else(|| said.key().map(str::to_owned)) {
        return Ok(Some(key));
    }
    match wanted {
        None if known.key_variable.is_none() => Ok(None),
        // It wants none as far as anybody says; its protocol has a place for one all the same.
        None if said.url.is_some() => Ok(Some("none".to_owned())),
        None => {
            let what = format!("[models.{provider}] has no url");
            Err(Advice::error(what, "add url = \"…\" in the home's config.toml"))
        }
        Some(variable) => {
            let what = format!("the key of {provider} is missing: {variable} is not set");
            let hint =
                format!("export {variable}=…, or key = \"…\" under [models.{provider}] in the home's config.toml");
            Err(Advice::error(what, hint))
        }
    }
}

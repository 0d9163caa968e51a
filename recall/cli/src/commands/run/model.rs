//! The model that a person names.

use std::path::Path;
use std::sync::Arc;

use harness_experience::model::Model;
use harness_experience::model::connected::{Connected, PROVIDERS, provider_of};
use harness_experience::model::scripted::Scripted;

use crate::report::Advice;

/// The model of this name, and the name.
pub(super) fn named(name: Option<&str>) -> anyhow::Result<(String, Arc<dyn Model>)> {
    let Some(name) = name else {
        let hint = "name one: --model anthropic/claude-sonnet-4-5, or HARNESS_MODEL; or let another agent do it: --with claude-code";
        return Err(Advice::error("no model is named", hint));
    };
    let providers = || PROVIDERS.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
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
    let Some(known) = provider_of(provider) else {
        let hint = format!("there are: {}; an OpenAI-compatible service is openai with OPENAI_BASE_URL", providers());
        return Err(Advice::error(format!("there is no provider {provider:?}"), hint));
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let url = variable(known.url_variable);
    let key = match known.key_variable {
        None => None,
        Some(name) => match variable(name) {
            Some(key) => Some(key),
            None => {
                let what = format!("the key of {provider} is missing: {name} is not set");
                return Err(Advice::error(what, format!("export {name}=…")));
            }
        },
    };
    let connected = Connected::new(known, model, key, url)
        .map_err(|error| Advice::error(format!("cannot use {name}: {error}"), "check the name and the base URL"))?;
    Ok((name.to_owned(), Arc::new(connected)))
}

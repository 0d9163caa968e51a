//! Two tenants with the same texts and a token each: nothing of the one comes out where the other asks a server.

use std::collections::BTreeSet;
use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::home::{Home, id_of, rounds};
use crate::tenants::filled;
use crate::web::Web;

/// The ids of all records of a tenant.
fn ids_of(home: &Home, tenant: &str) -> BTreeSet<String> {
    let lines = home.run(&["export", "--scope", tenant, "-"]);
    let ids = lines.lines().filter(|line| line.contains("\"line\":\"record\"")).map(id_of).collect::<BTreeSet<_>>();
    assert!(ids.len() > 10, "{lines}");
    ids
}

struct Tenant {
    name: &'static str,
    ids: BTreeSet<String>,
}

/// One who asks: a tenant's token for some of its scopes, and what must never be among the answers.
struct Asker<'t> {
    web: &'t Web,
    token: String,
    scope: String,
    own: &'t Tenant,
    foreign: &'t Tenant,
}

impl Asker<'_> {
    /// Asserts that nothing of the other tenant is in this text, but for what the call itself said.
    fn clean(&self, said: &str, of: &str, echoed: &[&str]) {
        let mut said = said.to_owned();
        for echo in echoed {
            said = said.replace(echo, "");
        }
        let secret = format!("secretof{}", self.foreign.name);
        assert!(!said.contains(&secret), "{of} as {}: {said}", self.scope);
        assert!(!said.contains(&format!("\"{}", self.foreign.name)), "a scope crosses by {of}: {said}");
        for id in &self.foreign.ids {
            assert!(!said.contains(id.as_str()), "{of} as {}: {id} in {said}", self.scope);
        }
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>, echoed: &[&str]) -> (u16, String) {
        let (status, said) = self.web.call(&self.token, method.clone(), path, body);
        assert!(status > 0 && status < 500, "{method} {path}: {status} {said}");
        self.clean(&said, &format!("{method} {path}"), echoed);
        (status, said)
    }

    /// Every question, with and without naming the other's scopes.
    fn questions(&self) {
        let foreign = self.foreign.name;
        let secret = format!("secretof{foreign}");
        for question in ["deploy password", "部署", "why does the deploy of the shop wait", secret.as_str()] {
            for scopes in [json!([]), json!([foreign, format!("{foreign}/red"), "/"])] {
                let recall = json!({ "query": question, "limit": 100, "scopes": scopes });
                // An answer does not repeat the question.
                let echoed: &[&str] = if question == secret { &[&secret] } else { &[] };
                self.call(Method::POST, "/v1/recall", Some(&recall), echoed);
                let context = json!({ "task": question, "budget_tokens": 2_000, "scopes": scopes });
                self.call(Method::POST, "/v1/context", Some(&context), &[]);
            }
        }
        // The question's own words may be said again, and nothing else of the tenant's: no hit has them.
        let recall = json!({ "query": secret, "limit": 100 });
        let (_, said) = self.call(Method::POST, "/v1/recall", Some(&recall), &[&secret]);
        let answer: Value = serde_json::from_str(&said).unwrap();
        assert!(answer["hits"].as_array().unwrap().iter().all(|hit| !hit.to_string().contains(&secret)), "{said}");
    }

    /// Every list, page by page.
    fn lists(&self) {
        let foreign = self.foreign.name;
        for list in ["records?", "sessions?", "episodes?", "sessions/the-same/messages?"] {
            for query in ["limit=3".to_owned(), format!("limit=100&scope={foreign}"), "limit=100&scope=/".to_owned()] {
                let mut cursor = String::new();
                for _ in 0..12 {
                    let path = format!("/v1/{list}{query}{cursor}");
                    let (status, said) = self.call(Method::GET, &path, None, &[]);
                    let page: Value = serde_json::from_str(&said).unwrap_or_default();
                    let Some(next) = page["next"].as_str().filter(|_| status == 200) else { break };
                    cursor = format!("&cursor={next}");
                }
            }
        }
        for path in ["/v1/status", "/v1/capabilities", "/metrics", "/healthz", "/readyz", "/openapi.json"] {
            self.call(Method::GET, path, None, &[]);
        }
    }

    /// A record of the other tenant is answered like one that is not there, whatever is asked of it.
    fn records(&self) {
        let there = self.foreign.ids.iter().next().unwrap();
        let nowhere = "0196a1b2-c3d4-7000-8000-000000000000";
        let note = json!({ "text": "taken over" });
        for (method, tail, body) in [
            (Method::GET, "", None),
            (Method::GET, "?context=5", None),
            (Method::GET, "/versions", None),
            (Method::GET, "/exposures", None),
            (Method::PATCH, "", Some(&note)),
            (Method::DELETE, "", None),
            (Method::POST, "/undo", None),
        ] {
            let answer = |id: &str| {
                let (status, said) = self.call(method.clone(), &format!("/v1/records/{id}{tail}"), body, &[id]);
                (status, said.replace(id, "ID"))
            };
            let (theirs, missing) = (answer(there), answer(nowhere));
            assert_eq!(theirs, missing, "{method} {tail}");
        }
        for body in [
            json!({ "text": "x", "replaces": there }),
            json!({ "text": "x", "scope": self.foreign.name }),
            json!({ "run": "r", "records": [there], "query": "q" }),
        ] {
            let path = if body["run"].is_string() { "/v1/exposures" } else { "/v1/notes" };
            let (status, said) = self.call(Method::POST, path, Some(&body), &[there, self.foreign.name]);
            assert!(status >= 400, "{body}: {said}");
        }
    }

    /// The stream of events, from its beginning.
    fn events(&self) {
        let (status, said) = self.call(Method::GET, "/v1/events?after=1-0&follow=false", None, &[]);
        assert_eq!(status, 200, "{said}");
        let own = said.lines().filter(|line| line.starts_with("data:")).count();
        let whole = self.scope == self.own.name;
        assert!(own > 4 && (!whole || own >= self.own.ids.len()), "what is one's own is told: {own}\n{said}");
    }

    /// The tools, resources and prompt for models, over HTTP.
    fn mcp_over_http(&self) {
        let there = self.foreign.ids.iter().next_back().unwrap();
        let tool = |name: &str, arguments: Value| json!({"method": "tools/call", "params": {"name": name, "arguments": arguments}});
        for call in [
            tool("memory_search", json!({"query": "deploy of the shop waits", "limit": 50, "budget_tokens": 8_000})),
            tool("memory_search", json!({"query": "部署", "scopes": [self.foreign.name, "/"], "limit": 50})),
            tool("memory_get", json!({"ids": [there]})),
            tool("memory_forget", json!({"ids": [there]})),
            tool("session_search", json!({"query": "deploy"})),
            tool("session_search", json!({})),
            json!({"method": "resources/list", "params": {}}),
            json!({"method": "resources/read", "params": {"uri": format!("harness://record/{there}")}}),
            json!({"method": "resources/read", "params": {"uri": "harness://session/the-same"}}),
            json!({"method": "resources/read", "params": {"uri": "harness://health"}}),
            json!({"method": "prompts/get", "params": {"name": "recall", "arguments": {"task": "deploy the shop"}}}),
        ] {
            let mut message = call.clone();
            message["jsonrpc"] = "2.0".into();
            message["id"] = 7.into();
            let (status, said) = self.call(Method::POST, "/mcp", Some(&message), &[there]);
            assert!(status == 200, "{call}: {status} {said}");
        }
    }
}

#[test]
fn nothing_crosses_between_two_tenants_of_a_server() {
    let home = filled();
    let tenants = ["acme", "globex"].map(|name| Tenant { name, ids: ids_of(&home, name) });
    let web = Web::start(home);
    let home = web.server.home.clone();
    let mut dice = 23_u64;
    for round in 0..rounds(3, 60) {
        if round == 1 {
            home.run(&["index", "follow", "--idle", "0"]);
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The caches are warm with what is asked next.
        web.own(Method::POST, "/v1/recall", Some(&json!({ "query": "deploy password", "limit": 100 })));
        for me in [round % 2, 1 - round % 2] {
            let (own, foreign) = (&tenants[me], &tenants[1 - me]);
            let scope = match dice >> (40 + me) & 3 {
                0 => own.name.to_owned(),
                1 => format!("={}", own.name),
                2 => format!("{}/red", own.name),
                _ => format!("{}/blue", own.name),
            };
            let token: Value = serde_json::from_str(&home.run(&["--json", "token", "new", "--scope", &scope])).unwrap();
            let token = token["token"].as_str().unwrap().to_owned();
            let asker = Asker { web: &web, token, scope, own, foreign };
            asker.questions();
            asker.lists();
            asker.records();
            asker.events();
            asker.mcp_over_http();
        }
    }
    for tenant in &tenants {
        assert_eq!(ids_of(&home, tenant.name), tenant.ids, "nothing was changed either");
    }
}

#[test]
fn nothing_crosses_between_two_tenants_with_a_client_each() {
    let home = filled();
    let tenants = ["acme", "globex"].map(|name| Tenant { name, ids: ids_of(&home, name) });
    for served in [false, true] {
        let web = Web::start(Home::new());
        // Beside a server the client's process asks that; alone it looks for itself.
        let beside = served.then(|| Web::start(filled()));
        let home = beside.as_ref().map_or(&home, |web| &*web.server.home);
        for me in [0, 1] {
            let names = [tenants[me].name, tenants[1 - me].name];
            let tenant = |name: &'static str| Tenant { name, ids: ids_of(home, name) };
            let (own, foreign) = (tenant(names[0]), tenant(names[1]));
            let asker =
                Asker { web: &web, token: String::new(), scope: own.name.to_owned(), own: &own, foreign: &foreign };
            let mut client = Client::start(home, &["--scope", own.name]);
            let there = foreign.ids.iter().next().unwrap();
            for (tool, arguments) in [
                ("memory_search", json!({ "query": "deploy of the shop waits", "limit": 50, "budget_tokens": 8_000 })),
                ("memory_search", json!({ "query": "部署", "scopes": [foreign.name, "/"], "limit": 50 })),
                ("memory_get", json!({ "ids": [there] })),
                ("memory_forget", json!({ "ids": [there] })),
                ("session_search", json!({ "query": "deploy" })),
                ("session_search", json!({})),
            ] {
                let answer = client.ask("tools/call", json!({ "name": tool, "arguments": arguments }));
                asker.clean(&answer.to_string(), tool, &[there]);
            }
            for (method, parameters) in [
                ("resources/list", json!({})),
                ("resources/read", json!({ "uri": "harness://health" })),
                ("prompts/get", json!({ "name": "recall", "arguments": { "task": "deploy the shop" } })),
            ] {
                asker.clean(&client.ask(method, parameters).to_string(), method, &[]);
            }
        }
    }
}

#[test]
fn runs_and_repeated_writes_of_two_tenants_are_two() {
    let home = filled();
    let web = Web::start(home);
    let home = web.server.home.clone();
    let sides = ["acme", "globex"].map(|name| {
        let token: Value = serde_json::from_str(&home.run(&["--json", "token", "new", "--scope", name])).unwrap();
        (name, token["token"].as_str().unwrap().to_owned())
    });
    let mut notes = Vec::new();
    for (name, token) in &sides {
        // The same key of a repeated write, the same name of a run.
        let note = json!({ "text": format!("the pool of secretof{name}"), "key": "k-1", "source": "agent" });
        let (status, said) = web.call(token, Method::POST, "/v1/notes", Some(&note));
        assert_eq!(status, 201, "{said}");
        let id = id_of(&said);
        let exposure = json!({ "run": "run-1", "records": [id], "query": format!("secretof{name} asks") });
        assert!(web.call(token, Method::POST, "/v1/exposures", Some(&exposure)).0 < 300);
        notes.push(id);
    }
    assert_ne!(notes[0], notes[1]);
    let (acme, globex) = (&sides[0].1, &sides[1].1);
    let outcome = json!({ "outcome": "failure", "reason": "secretofacme said so" });
    assert!(web.call(acme, Method::POST, "/v1/runs/run-1/outcome", Some(&outcome)).0 < 300);
    let (_, theirs) = web.call(globex, Method::GET, &format!("/v1/records/{}/exposures", notes[1]), None);
    let view: Value = serde_json::from_str(&theirs).unwrap();
    let run = &view["exposures"][0];
    assert_eq!(run["run"], "run-1", "{theirs}");
    assert!(run["outcome"].is_null(), "the end of the other's run is not its own: {theirs}");
    assert!(!theirs.contains("secretofacme"), "{theirs}");
    let (_, own) = web.call(acme, Method::GET, &format!("/v1/records/{}/exposures", notes[0]), None);
    let view: Value = serde_json::from_str(&own).unwrap();
    assert_eq!((&view["exposures"][0]["run"], &view["exposures"][0]["outcome"]), (&"run-1".into(), &"failure".into()));
    // Whoever may see all sees both, and can tell them apart.
    let (_, all) = web.own(Method::GET, &format!("/v1/records/{}/exposures", notes[1]), None);
    assert!(all.contains("run-1") && all.contains("globex"), "{all}");
    let log = fs::read_dir(home.path().join("log")).into_iter().flatten().flatten();
    for file in log {
        assert!(!fs::read_to_string(file.path()).unwrap_or_default().contains("secretof"));
    }
}

/// What a call of this token answers, where it succeeds.
fn good(web: &Web, token: &str, method: Method, path: &str, body: Option<&Value>) -> Value {
    let (status, said) = web.call(token, method, path, body);
    assert!((200..300).contains(&status), "{path}: {status} {said}");
    serde_json::from_str(&said).unwrap()
}

fn token_of(home: &Home, scope: &str) -> String {
    let token: Value = serde_json::from_str(&home.run(&["--json", "token", "new", "--scope", scope])).unwrap();
    token["token"].as_str().unwrap().to_owned()
}

/// The runs that a record was given to, as the token for everything sees them: name, outcome and reason.
fn runs_of(web: &Web, id: &str) -> Vec<(String, Value, Value)> {
    let (_, said) = web.own(Method::GET, &format!("/v1/records/{id}/exposures"), None);
    let view: Value = serde_json::from_str(&said).unwrap();
    let runs = view["exposures"].as_array().unwrap().iter();
    runs.map(|run| (run["run"].as_str().unwrap().to_owned(), run["outcome"].clone(), run["reason"].clone())).collect()
}

#[test]
fn an_episode_of_a_tenant_ends_no_run_but_its_own() {
    let web = Web::start(Home::new());
    let home = web.server.home.clone();
    let (own, ana, eve) = (web.server.token.clone(), token_of(&home, "ana"), token_of(&home, "eve"));
    let note = good(&web, &ana, Method::POST, "/v1/notes", Some(&json!({ "text": "the deploy needs the VPN" })));
    let id = note["id"].as_str().unwrap();
    let success = json!({ "outcome": "success", "reason": "tests pass" });
    for (token, run) in [(&own, "ci-0"), (&ana, "ci-0")] {
        good(&web, token, Method::POST, "/v1/exposures", Some(&json!({ "run": run, "records": [id] })));
        good(&web, token, Method::POST, &format!("/v1/runs/{run}/outcome"), Some(&success));
    }
    let before = runs_of(&web, id);
    assert_eq!(before.len(), 2, "{before:?}");
    let failed = |session: &str| json!({ "situation": "x", "outcome": "failure", "session": session, "reason": "no" });
    for session in ["ci-0", "ci-0 @ana", "ci-0 @eve"] {
        let episode = good(&web, &eve, Method::POST, "/v1/episodes", Some(&failed(session)));
        let path = format!("/v1/records/{}", episode["id"].as_str().unwrap());
        good(&web, &eve, Method::PATCH, &path, Some(&json!({ "outcome": "failure", "reason": "still no" })));
        let whole = json!({ "kind": "episode", "situation": "y", "outcome": "failure", "outcome_said": true,
            "session": session });
        good(&web, &eve, Method::POST, "/v1/records", Some(&whole));
        assert_eq!(runs_of(&web, id), before, "{session}");
        // Whoever sees everything speaks of the run of whoever began the session.
        good(&web, &own, Method::PATCH, &path, Some(&json!({ "outcome": "failure" })));
        assert_eq!(runs_of(&web, id), before, "{session}");
    }
    // Its own it ends, whoever it is.
    for (token, run, kept) in [(&ana, "sess-9", "sess-9 @ana"), (&own, "sess-8", "sess-8")] {
        good(&web, token, Method::POST, "/v1/exposures", Some(&json!({ "run": run, "records": [id] })));
        good(&web, token, Method::POST, "/v1/episodes", Some(&failed(run)));
        assert!(runs_of(&web, id).contains(&(kept.to_owned(), "failure".into(), "no".into())), "{run}");
    }
    let (_, said) = web.call(&ana, Method::GET, &format!("/v1/records/{id}/exposures"), None);
    let view: Value = serde_json::from_str(&said).unwrap();
    let run = view["exposures"].as_array().unwrap().iter().find(|run| run["run"] == "sess-9").unwrap();
    assert_eq!(run["outcome"], "failure");
}

#[test]
fn a_session_of_a_tenant_that_is_gone_takes_no_words_but_its_own() {
    let web = Web::start(Home::new());
    let home = web.server.home.clone();
    let (own, ana, eve) = (web.server.token.clone(), token_of(&home, "ana"), token_of(&home, "eve"));
    let note = good(&web, &ana, Method::POST, "/v1/notes", Some(&json!({ "text": "the deploy needs the VPN" })));
    let id = note["id"].as_str().unwrap();
    let spoken = good(&web, &eve, Method::POST, "/v1/notes", Some(&json!({ "text": "eve knows" })));
    let eves = spoken["id"].as_str().unwrap();
    let words = |query: &str| {
        let raw = home.run(&["export", "-"]);
        raw.lines().any(|line| line.contains(query))
    };
    for (token, given, name) in [(&own, id, "own"), (&ana, id, "ana"), (&eve, eves, "eve")] {
        let exposure = json!({ "run": "vic-1", "records": [given], "query": format!("{name}-query") });
        good(&web, token, Method::POST, "/v1/exposures", Some(&exposure));
        let outcome = json!({ "outcome": "success", "reason": format!("{name}-reason") });
        good(&web, token, Method::POST, "/v1/runs/vic-1/outcome", Some(&outcome));
    }
    for (text, session) in [("e", "vic-1"), ("f", "vic-1 @ana")] {
        let soon = json!({ "text": text, "session": session, "expires_at": "2020-01-01T00:00:00Z" });
        good(&web, &eve, Method::POST, "/v1/notes", Some(&soon));
    }
    home.run(&["forget", "--due"]);
    for kept in ["own-query", "own-reason", "ana-query", "ana-reason"] {
        assert!(words(kept), "{kept} is gone");
    }
    for gone in ["eve-query", "eve-reason"] {
        assert!(!words(gone), "{gone} is there");
    }
}

#[test]
fn numbers_of_the_whole_memory_are_told_to_whoever_may_see_it() {
    let web = Web::start(filled());
    let home = web.server.home.clone();
    home.run(&["index", "follow", "--idle", "0"]);
    let (own, eve) = (web.server.token.clone(), token_of(&home, "eve"));
    let health = json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/read",
        "params": { "uri": "harness://health" } });
    for (token, everything) in [(&own, true), (&eve, false)] {
        for path in ["/v1/status", "/readyz"] {
            let said = good(&web, token, Method::GET, path, None);
            let index = &said["indexes"][0];
            assert_eq!((index["state"].is_string(), index["documents"].is_u64()), (true, everything), "{path}: {said}");
            assert_eq!((index["lag"].is_u64(), index["bytes"].is_u64()), (everything, everything), "{path}: {said}");
        }
        let (_, said) = web.call(token, Method::POST, "/mcp", Some(&health));
        assert_eq!(said.contains("documents"), everything, "{said}");
        let answer = good(&web, token, Method::POST, "/v1/recall", Some(&json!({ "query": "deploy" })));
        assert_eq!(answer["lag"].as_object().is_some_and(|lag| !lag.is_empty()), everything, "{answer}");
    }
}

use super::samples::{ALNUM, HEX, UPPER, assignments, noise, tokens};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn assert_redacted(text: &str, secret: &str, rule: &str) {
    let redacted = Redactor::default().redact(text);
    assert!(!redacted.text().contains(secret), "kept in {text:?}");
    assert!(redacted.text().contains(&format!("[REDACTED:{rule}]")), "{rule} did not fire: {:?}", redacted.text());
    let again = Redactor::default().redact(redacted.text());
    assert_eq!(again.text(), redacted.text(), "not idempotent");
    assert!(again.hits().next().is_none());
}

#[test]
fn known_tokens_are_found_wherever_they_stand() {
    for seed in 1..40 {
        for (rule, secret) in tokens(seed) {
            for text in [
                secret.clone(),
                format!("use {secret}, please"),
                format!("用{secret}登录。"),
                format!("トークンは{secret}です"),
                format!("https://example.com/?q={secret}&x=1"),
                format!("a%20{secret}%20b"),
                format!("line\\n{secret}\\nline"),
                format!("\\u4e2d{secret}\\u6587"),
                format!("\x1b[31m{secret}\x1b[0m"),
                serde_json::to_string(&json!({"content": format!("it is\n{secret}\n")})).expect("json"),
            ] {
                // Letters of the secret's own alphabet directly before it would be a different word.
                let secret = serde_json::to_string(&secret).expect("json");
                let plain = secret[1..secret.len() - 1].replace("\\n", "\n");
                let last = plain.rsplit(['/', '\n', '=']).find(|part| part.len() > 20).unwrap_or(&plain).to_owned();
                assert_redacted(&text, &last, rule);
            }
        }
    }
}

#[test]
fn a_token_behind_a_name_and_an_underscore_is_found_and_a_name_is_none() {
    let redactor = Redactor::default();
    let mut missed = Vec::new();
    for seed in 1..4 {
        for (rule, secret) in tokens(seed) {
            for text in [format!("my_{secret}"), format!("the tool mcp__{secret} ended")] {
                if redactor.redact(&text).text().contains(&secret) {
                    missed.push(rule);
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
    for name in [
        "set_npm_registry_of_all_packages_in_this_workspace_v2",
        "is_sk-learn_installed_in_the_environment_3",
        "test_hf_hub_download_of_a_model_with_a_long_name_2",
        "my_glc_configuration_of_the_logging_collector",
        "use_ghp_as_the_prefix_of_a_very_long_token_name_1",
    ] {
        assert_eq!(redactor.redact(name).text(), name);
    }
}

#[test]
fn named_secrets_are_found_by_their_names() {
    for seed in 1..40 {
        for (rule, before, secret, after) in assignments(seed) {
            for text in [format!("{before}{secret}{after}"), format!("设置：\n{before}{secret}{after}")] {
                assert_redacted(&text, &secret, rule);
            }
        }
    }
}

#[test]
fn a_secret_access_key_is_found_beside_its_id() {
    let id = format!("AK{}{}", "IA", noise(UPPER, 16, 3));
    let secret = noise(ALNUM, 40, 9);
    assert_redacted(&format!("{id},{secret}\n"), &secret, "aws-secret-key");
}

#[test]
fn a_generated_value_with_its_digits_in_one_place_is_one() {
    let secret = "kvm704276CdMKbmjbGCFjICUZAqralDT";
    assert_redacted(&format!("client_secret={secret}&grant_type=x"), secret, "secret");
}

#[test]
fn a_value_whose_quote_was_cut_off_with_the_text_is_one() {
    let secret = noise(ALNUM, 32, 9);
    for text in [format!("apiKey = '{secret}"), format!("export API_KEY=\"{secret}")] {
        let found = Redactor::default().redact(&text);
        assert!(!found.text().contains(&secret), "{}", found.text());
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    let hash = noise(HEX, 64, 5);
    let uuid = "550e8400-e29b-41d4-a716-446655440000";
    for text in [
        "password = getpass()",
        "password = getpass.getpass('Password: ')",
        "fn login(user: &str, password: &str, token: &str) -> Result<Token2> {",
        "let token = next_token2(stream);",
        "token: Token,",
        "if password == stored_password1 {",
        "self.password = config.database.password",
        "password=os.environ['DB_PASSWORD']",
        "password: ${DB_PASSWORD}",
        "PASSWORD=$DB_PASSWORD1",
        "DB_PASSWORD=<your-password>",
        "api_key: \"YOUR_API_KEY\"",
        "api_key = \"your-api-key-here\"",
        "api_key=xxxxxxxxxxxxxxxxxxxxxxxx",
        "\"password\": \"********\"",
        "\"password\": \"Mot de passe\"",
        "'password' => 'Enter your password 2 times',",
        "type=\"password\" name=\"password1\"",
        "max_tokens: 4096, total_tokens=18282828",
        "next_page_token = \"CAUQAA1b2c3d4e5f6g7\"",
        "password_hash = \"5f4dcc3b5aa765d61d8327deb882cf99\"",
        "secretName: my-app-tls-2024",
        "secret: my-app-tls-2024",
        "https://example.com:8080/path@2x.png",
        "git@github.com:owner/repo.git",
        "postgres://user:password@localhost/db",
        "postgres://user:${PASSWORD}@localhost/db",
        "The token is 64 bytes, the password is required.",
        "a risk-based approach; disk-usage-2024-report; task-0123456789-abcdefgh",
        "Bearer authentication-scheme",
        "WWW-Authenticate: Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource\"",
        "请输入密码：至少 8 位",
        "密码：123",
        "eyJ is how base64 of a JSON object starts",
        "-----BEGIN PRIVATE KEY----- is the header",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "const KEY: &str = \"ArrowLeft\";",
        "ResourceReturnTypeToken: D3D10_SB_RESOURCE_RETURN_TYPE,",
        "challengePwd = \"1.2.840.113549.1.9.7\"",
        "curl -u $USER:$PASSWORD https://example.com",
        "curl -uri http://localhost:8080/api",
        "the machine learning password policy",
        "\"auth\": \"required\", \"author\": \"Mira K. 2024\"",
        "key: \"some-cache-key-0123456789abcdef\"",
        "PublicKeyToken=b77a5c561934e089",
        "    pub GenerateMasterKey: SslGenerateMasterKeyFn,",
        "t.pass(\"tests/ui-1/*.rs\");",
        "pub const DEFRAG_PASS: D3DKMT_OPERATION = 3i32;",
    ] {
        assert_eq!(Redactor::default().redact(text).text(), text);
    }
    for text in
        [format!("sha256:{hash}"), format!("commit {hash}"), format!("checksum = \"{hash}\""), format!("id: {uuid}")]
    {
        assert_eq!(Redactor::default().redact(&text).text(), text);
    }
}

#[test]
fn a_members_name_gives_its_text_away() {
    let mut value = json!({
        "password": "Tr0ub4dor!x", "user": "bob", "note": "password=Tr0ub4dor!x",
        "list": [{"api_key": noise(ALNUM, 32, 2)}], "max_tokens": "4096",
    });
    let fired = Redactor::default().redact_json(&mut value);
    assert_eq!(
        value,
        json!({
            "password": "[REDACTED:password]", "user": "bob", "note": "password=[REDACTED:password]",
            "list": [{"api_key": "[REDACTED:secret]"}], "max_tokens": "4096",
        })
    );
    // In which order a map gives its members is the JSON library's to decide.
    let mut fired: Vec<_> = fired.iter().collect();
    fired.sort_unstable();
    assert_eq!(fired, [("password", 2), ("secret", 1)]);
    let before = value.clone();
    assert!(Redactor::default().redact_json(&mut value).is_empty());
    assert_eq!(value, before);
}

#[test]
fn each_finding_is_counted_by_its_rule() {
    let token = format!("gh{}_{}", 'p', noise(ALNUM, 36, 4));
    let text = format!("{token} {token} password=\"{token}\"");
    let redacted = Redactor::default().redact(&text);
    assert_eq!(redacted.hits().collect::<Vec<_>>(), [("github-token", 3)]);
    assert_eq!(redacted.hits().map(|(_, times)| times).sum::<usize>(), 3);
}

#[test]
fn hostile_repetition_ends() {
    for piece in [
        "token=",
        "sk-",
        "eyJ-",
        "-----BEGIN PRIVATE KEY-----",
        "password:\"",
        "://a:",
        "bearer ",
        "\\",
        "key(\"",
        "token=a/",
        "AKIA",
        "auth:",
        "1//0",
    ] {
        let text = piece.repeat(100_000 / piece.len());
        let _ = Redactor::default().redact(&text);
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(RULES.iter().flat_map(|rule| rule.anchors.iter().copied()).collect::<Vec<_>>()).prop_map(str::to_owned),
        4 => "[A-Za-z0-9_+/=.~-]{0,44}",
        3 => prop::sample::select(vec!["=", ": ", "\"", "\\\"", "'", " ", "\n", "\\n", "@", ":", "密码", "。", "[REDACTED:", "[REDACTED:jwt]", "]", "password", "api_key", "token=", " = ", "(", "%20", "x@y"]).prop_map(str::to_owned),
        1 => (0_u64..50, 0_usize..30).prop_map(|(seed, at)| { let all = tokens(seed); all[at % all.len()].1.clone() }),
        1 => (0_u64..50, 0_usize..30).prop_map(|(seed, at)| { let all = assignments(seed); let it = &all[at % all.len()]; format!("{}{}{}", it.1, it.2, it.3) }),
        1 => "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn redacting_twice_is_redacting_once(text in hostile()) {
        let once = Redactor::default().redact(&text).into_text().into_owned();
        let twice = Redactor::default().redact(&once);
        prop_assert_eq!(twice.text(), once.as_str());
    }
}

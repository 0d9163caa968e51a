//! Secrets in these tests are put together at run time, so that no scanner takes this file for a leak.

use super::*;
use proptest::prelude::*;
use serde_json::json;

/// `length` bytes that look generated, from an alphabet, different for each `seed`.
fn noise(alphabet: &str, length: usize, seed: u64) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out: String = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            alphabet[(state >> 33) as usize % alphabet.len()]
        })
        .collect();
    // Random runs of this length hold digits in practice; here they do for certain.
    if length > 8 && alphabet.contains(&'7') {
        out.replace_range(3..4, "7");
        out.replace_range(6..7, "2");
    }
    out
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";

/// Tokens that are recognised wherever they stand: the rule and a secret.
fn tokens(seed: u64) -> Vec<(&'static str, String)> {
    let an = |length| noise(ALNUM, length, seed);
    let hex = |length| noise(HEX, length, seed);
    let upper = |length| noise(UPPER, length, seed);
    vec![
        ("aws-access-key", format!("AK{}{}", "IA", upper(16))),
        ("aws-access-key", format!("AS{}{}", "IA", upper(16))),
        ("github-token", format!("gh{}_{}", 'p', an(36))),
        ("github-token", format!("gh{}_{}", 's', an(36))),
        ("github-token", format!("github_{}_{}_{}", "pat", an(22), an(59))),
        ("gitlab-token", format!("gl{}-{}", "pat", an(20))),
        ("slack-token", format!("xox{}-{}-{}-{}", 'b', 123_456_789_012_u64, 987_654_321_098_u64, an(24))),
        ("openai", format!("s{}-{}", 'k', an(48))),
        ("openai", format!("s{}-proj-{}", 'k', an(64))),
        ("anthropic", format!("s{}-ant-api03-{}", 'k', an(93))),
        ("google-api-key", format!("AI{}{}", "za", an(35))),
        ("google-oauth", format!("GOC{}-{}", "SPX", an(28))),
        ("stripe", format!("sk_{}_{}", "live", an(24))),
        ("stripe", format!("wh{}_{}", "sec", an(32))),
        ("npm-token", format!("np{}_{}", 'm', an(36))),
        ("pypi-token", format!("py{}-AgEIcHlwaS5vcmc{}", "pi", an(80))),
        ("hugging-face", format!("h{}_{}", 'f', an(34))),
        ("sendgrid", format!("S{}.{}.{}", 'G', an(22), an(43))),
        ("twilio", format!("S{}{}", 'K', hex(32))),
        ("telegram-bot", format!("{}:A{}{}", 1_234_567_890_u64, 'A', an(33))),
        ("digitalocean", format!("dop_{}_{}", "v1", hex(64))),
        ("shopify", format!("shp{}_{}", "at", hex(32))),
        ("databricks", format!("da{}{}", "pi", hex(32))),
        ("mailchimp", format!("{}-u{}12", hex(32), 's')),
        ("vault", format!("hv{}.{}", 's', an(90))),
        ("groq", format!("gs{}_{}", 'k', an(52))),
        ("alibaba-access-key", format!("LT{}{}", "AI", an(20))),
        ("jwt", format!("ey{}{}.ey{}{}.{}", 'J', an(30), 'J', an(60), an(43))),
        ("pinecone", format!("pc{}_{}", "sk", an(60))),
        ("tavily", format!("tv{}-{}", "ly", an(32))),
        ("netlify", format!("nf{}_{}", 'p', an(40))),
        ("linear", format!("lin_{}_{}", "api", an(40))),
        ("grafana", format!("gl{}_{}", "sa", an(40))),
        ("docker", format!("dckr_{}_{}", "pat", an(27))),
        ("new-relic", format!("NR{}-{}", "AK", an(27))),
        ("tailscale", format!("ts{}-auth-{}", "key", an(32))),
        ("azure-client-secret", format!("{}8Q{}{}", an(3), '~', an(34))),
        ("discord-webhook", format!("https://discord.com/api/{}/123456789012345678/{}", "webhooks", an(68))),
        ("slack-webhook", format!("https://hooks.{}.com/services/T{}/B{}/{}", "slack", upper(8), upper(8), an(24))),
        ("adafruit", format!("a{}_{}", "io", an(28))),
        ("openshift", format!("sha{}~{}", "256", an(43))),
        ("azure-devops", format!("{}AZ{}{}", an(76), "DO", an(4))),
        ("1password", format!("A{}-{}-{}-{}-{}", '3', "B7WWYB", "798JRY", "LJVD4-23DC2", "86TVM-H43EB")),
        ("clojars", format!("CLO{}_{}", "JARS", an(60))),
        ("infracost", format!("ic{}-{}", 'o', an(32))),
        ("scalingo", format!("tk-{}-{}", "us", an(48))),
        ("bitbucket", format!("BB{}-{}", "DC", an(44))),
        ("neon", format!("na{}_{}", "pi", an(64))),
        ("together", format!("tg{}_{}_{}", 'p', "v1", an(43))),
        ("fireworks", format!("f{}_{}", 'w', an(24))),
        ("apify", format!("api{}_{}_{}", "fy", "api", an(36))),
        ("e2b", format!("e2{}_{}", 'b', hex(40))),
        ("browserbase", format!("bb_{}_{}", "live", an(27))),
        ("chat-webhook", format!("https://open.feishu.cn/open-apis/bot/v2/{}/{}", "hook", an(36))),
        ("chat-webhook", format!("https://qyapi.weixin.qq.com/cgi-bin/webhook/{}={}", "send?key", an(36))),
        (
            "teams-webhook",
            format!("https://acme.webhook.office.com/{}/{}/IncomingWebhook/{}", "webhookb2", an(36), hex(32)),
        ),
        ("facebook", format!("EA{}{}", 'A', an(120))),
        ("resend", format!("r{}_{}_{}", 'e', an(8), an(24))),
        ("paypal", format!("access_{}$production${}${}", "token", an(16), hex(32))),
        ("lob", format!("li{}_{}", "ve", hex(35))),
        ("gocardless", format!("li{}_{}", "ve", an(40))),
        ("airtable", format!("pa{}{}.{}", 't', an(14), hex(64))),
        ("hubspot", format!("pa{}-na1-{}", 't', "8f14e45f-ceea-467f-a1d6-91bd4c5b2f10")),
        ("new-relic", format!("NR{}-{}", "II", an(32))),
        ("frameio", format!("fi{}-u-{}", 'o', an(64))),
        ("posthog", format!("ph{}_{}", 'x', an(43))),
        ("dbt", format!("db{}_{}", "tc", an(40))),
        ("vercel", format!("vc{}_{}", 'p', an(56))),
        ("supabase", format!("sb{}_{}", 'p', hex(40))),
        ("nvidia", format!("nv{}-{}", "api", an(64))),
        ("xai", format!("xa{}-{}", 'i', an(80))),
        ("replicate", format!("r{}_{}", '8', an(37))),
        ("sentry", format!("sn{}_{}", "trys", an(60))),
        ("notion", format!("nt{}_{}", 'n', an(46))),
        ("postman", format!("PM{}-{}-{}", "AK", hex(24), hex(34))),
        ("terraform", format!("{}.atlas{}.{}", an(14), "v1", an(67))),
        ("age-secret-key", format!("AGE-SECRET-{}-1{}", "KEY", upper(58))),
        (
            "private-key",
            format!("-----BEGIN RSA {0} KEY-----\n{1}\n{2}\n-----END RSA {0} KEY-----", "PRIVATE", an(64), an(40)),
        ),
    ]
}

/// Text with a secret in it: the rule, what stands before, the secret, what stands after.
fn assignments(seed: u64) -> Vec<(&'static str, String, String, &'static str)> {
    let an = |length| noise(ALNUM, length, seed);
    let word = || format!("Tr0ub{}dor&3!", seed % 10).replace('&', "x");
    let of = |rule, before: &str, secret: String, after| (rule, before.to_owned(), secret, after);
    vec![
        of("password", "DB_PASSWORD=", word(), "\n"),
        of("password", "export MYSQL_PASS='", word(), "'"),
        of("password", "{\"password\": \"", word(), "\", \"user\": \"bob\"}"),
        of("password", "{\\\"password\\\":\\\"", word(), "\\\"}"),
        of("password", "password: ", word(), "\nuser: bob"),
        of("password", "mysql --user bob --password ", word(), " --host db"),
        of("password", "数据库密码：", word(), "，别忘了"),
        of("password", "パスワードは「".trim_end_matches('「'), word(), "です"),
        of("password", "비밀번호: ", word(), " 입니다"),
        of("password", "<password>", word(), "</password>"),
        of("password", "let password: &str = \"", word(), "\";"),
        of("secret", "api_key: \"", an(32), "\""),
        of("secret", "apiKey = '", an(32), "'"),
        of("secret", "AWS_SECRET_ACCESS_KEY=", noise(ALNUM, 40, seed), "\n"),
        of("secret", "client_secret=", an(32), "&grant_type=x"),
        of("secret", "https://example.com/?access_token=", an(40), "&page=2"),
        of("secret", "os.environ[\"SERVICE_TOKEN\"] = \"", an(40), "\""),
        of("secret", "--token ", an(40), " next"),
        of("url-password", "postgres://bob:", word(), "@db.example.com:5432/app"),
        of("url-password", "postgres:\\/\\/bob:", word(), "@db.example.com"),
        of("url-password", "redis://:", word(), "@cache:6379"),
        of("url-password", "url=postgres%3A%2F%2Fbob%3A", an(12), "%40db.example.com"),
        of("login-password", "curl -u bob:", word(), " https://example.com"),
        of("login-password", "sshpass -p '", word(), "' ssh host"),
        of("login-password", "machine api.example.com login bob password ", word(), "\n"),
        of("login-password", "machine api.example.com\n  login bob\n  password ", word(), "\n"),
        of("secret", "{\"auths\":{\"registry\":{\"auth\":\"", an(40), "\"}}}"),
        of("secret", "//registry.npmjs.org/:_authToken=", an(36), "\n"),
        of("secret", "HEROKU_API_KEY=", "8f14e45f-ceea-467f-a1d6-91bd4c5b2f10".to_owned(), "\n"),
        of("secret", "DD_API_KEY: ", noise(HEX, 32, seed), "\n"),
        of("password", "Server=db;Uid=bob;Pwd=", word(), ";Database=x"),
        of("password", "jdbc:mysql://db/app?user=bob&password=", word(), "&useSSL=true"),
        of("password", "spring.datasource.password=", word(), "\n"),
        of("bearer", "Authorization: Bearer ", an(40), "\n"),
        of("bearer", "-H \"authorization: bearer ", an(40), "\""),
        of("authorization", "Authorization: Basic ", format!("{}==", an(22)), "\n"),
        of("azure-storage-key", "AccountName=x;AccountKey=", format!("{}==", an(86)), ";EndpointSuffix=y"),
    ]
}

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

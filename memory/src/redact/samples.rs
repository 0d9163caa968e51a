//! Secrets of every kind that is known, for tests: of the rules, and of every way in and out of a memory. They are put
//! together at run time, so that no scanner takes this file for a leak.

/// `length` bytes that look generated, from an alphabet, different for each `seed`.
pub(crate) fn noise(alphabet: &str, length: usize, seed: u64) -> String {
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

pub(crate) const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(crate) const HEX: &str = "0123456789abcdef";

/// Tokens that are recognised wherever they stand: the rule and a secret.
pub(crate) fn tokens(seed: u64) -> Vec<(&'static str, String)> {
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
pub(crate) fn assignments(seed: u64) -> Vec<(&'static str, String, String, &'static str)> {
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
        // JSON within JSON.
        of("url-password", "postgres:\\\\/\\\\/bob:", word(), "@db.example.com"),
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

//! The table of rules: what a secret of each provider looks like.
//!
//! A rule is a name, the literals that must occur for it to be tried at all, and a shape. Adding a
//! provider whose tokens have a prefix is one line of [`RULES`]. Where two rules claim the same bytes,
//! the one that stands first names the redaction, so the specific ones come before the general ones.

use super::Text;
use super::assignment;
use super::shapes;
use std::ops::Range;

/// One kind of secret.
pub(super) struct Rule {
    /// What is written into the text: `[REDACTED:name]`.
    pub(super) name: &'static str,
    /// Literals, compared without ASCII case, of which one must occur.
    pub(super) anchors: &'static [&'static str],
    /// How to find the secret's bytes from an anchor.
    pub(super) shape: Shape,
}

/// How a secret is found once its anchor was seen.
pub(super) enum Shape {
    /// A prefix (the anchor, exactly as written) and a run of `least..=most` bytes of an alphabet.
    Token {
        alphabet: &'static Alphabet,
        least: usize,
        most: usize,
        /// Prefixes that also occur in ordinary words ask for a digit in the run.
        digit: bool,
    },
    /// A function that looks around the anchor, for secrets of which the anchor is a part.
    Scan(fn(&Text<'_>, Range<usize>) -> Option<Range<usize>>),
    /// A function that looks behind the anchor, for secrets that the anchor only announces.
    Value(fn(&Text<'_>, Range<usize>) -> Option<Range<usize>>),
}

/// A set of bytes.
pub(super) struct Alphabet([bool; 256]);

impl Alphabet {
    /// ASCII letters (`upper`, `lower`), digits, and `extra`.
    const fn of(upper: bool, lower: bool, extra: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let it = byte as u8;
            set[byte] = it.is_ascii_digit() || (upper && it.is_ascii_uppercase()) || (lower && it.is_ascii_lowercase());
            byte += 1;
        }
        let mut at = 0;
        while at < extra.len() {
            set[extra[at] as usize] = true;
            at += 1;
        }
        Self(set)
    }

    /// Whether `byte` belongs to the set.
    pub(super) const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }
}

static ALNUM: Alphabet = Alphabet::of(true, true, b"");
static WORD: Alphabet = Alphabet::of(true, true, b"_");
static URL64: Alphabet = Alphabet::of(true, true, b"_-");
static DASHED: Alphabet = Alphabet::of(true, true, b"-");
static DOTTED: Alphabet = Alphabet::of(true, true, b"_-.");
static SLASHED: Alphabet = Alphabet::of(true, true, b"_-/");
static BASE64: Alphabet = Alphabet::of(true, true, b"+/=_-");
static UPPER: Alphabet = Alphabet::of(true, false, b"");
static UPPER_DASHED: Alphabet = Alphabet::of(true, false, b"-");
static HEX: Alphabet = Alphabet::of(false, false, b"abcdefABCDEF");

/// Runs are followed no further than this, so that a megabyte of base64 costs nothing.
/// The longest tokens in use (signed, with claims inside) stay below it.
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A token of at least `least` bytes after its prefix.
const fn open(name: &'static str, anchors: &'static [&'static str], alphabet: &'static Alphabet, least: usize) -> Rule {
    Rule { name, anchors, shape: Shape::Token { alphabet, least, most: TOKEN_BYTES_MAX, digit: false } }
}

/// A token of exactly `least..=most` bytes after its prefix.
const fn fixed(
    name: &'static str,
    anchors: &'static [&'static str],
    alphabet: &'static Alphabet,
    least: usize,
    most: usize,
) -> Rule {
    Rule { name, anchors, shape: Shape::Token { alphabet, least, most, digit: false } }
}

/// A token of at least `least` bytes, a digit among them, after a prefix that words have too.
const fn weak(name: &'static str, anchors: &'static [&'static str], alphabet: &'static Alphabet, least: usize) -> Rule {
    Rule { name, anchors, shape: Shape::Token { alphabet, least, most: TOKEN_BYTES_MAX, digit: true } }
}

/// A rule with a function of its own.
const fn scan(
    name: &'static str,
    anchors: &'static [&'static str],
    find: fn(&Text<'_>, Range<usize>) -> Option<Range<usize>>,
) -> Rule {
    Rule { name, anchors, shape: Shape::Scan(find) }
}

/// A rule for what stands behind its anchor, with a function of its own.
const fn value(
    name: &'static str,
    anchors: &'static [&'static str],
    find: fn(&Text<'_>, Range<usize>) -> Option<Range<usize>>,
) -> Rule {
    Rule { name, anchors, shape: Shape::Value(find) }
}

/// Every built-in rule, the specific before the general.
pub(super) static RULES: &[Rule] = &[
    scan("private-key", &["-----BEGIN ", "---- BEGIN "], shapes::private_key),
    open("age-secret-key", &["AGE-SECRET-KEY-1"], &UPPER, 50),
    // Cloud providers.
    fixed("aws-access-key", &["AKIA", "ASIA", "ABIA", "ACCA"], &UPPER, 16, 16),
    scan("aws-secret-key", &["AKIA", "ASIA"], shapes::aws_secret_beside_its_key),
    fixed("google-api-key", &["AIza"], &URL64, 35, 35),
    open("google-oauth", &["GOCSPX-", "ya29."], &DOTTED, 20),
    weak("google-refresh-token", &["1//0"], &URL64, 30),
    scan("azure-client-secret", &["Q~"], shapes::azure_client_secret),
    scan("azure-storage-key", &["AccountKey=", "SharedAccessKey="], shapes::base64_value),
    value("azure-sas", &["sig="], shapes::sas_signature),
    weak("alibaba-access-key", &["LTAI"], &ALNUM, 12),
    fixed("tencent-secret-id", &["AKID"], &ALNUM, 32, 32),
    open("digitalocean", &["dop_v1_", "doo_v1_", "dor_v1_"], &HEX, 64),
    open("fly", &["fm2_", "fm1r_", "fo1_"], &BASE64, 40),
    open("vercel", &["vcp_", "vci_", "vca_", "vcr_", "vck_"], &WORD, 24),
    fixed("heroku", &["HRKU-"], &URL64, 36, 80),
    // Code hosting, packages, builds.
    open("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], &WORD, 36),
    open("github-token", &["github_pat_"], &WORD, 22),
    open(
        "gitlab-token",
        &[
            "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glffct-", "glimt-", "glagent-",
            "gloas-",
        ],
        &DOTTED,
        20,
    ),
    weak("gitlab-token", &["GR1348941"], &URL64, 20),
    open("bitbucket", &["ATBB"], &ALNUM, 28),
    open("atlassian", &["ATATT3x", "ATCTT3x"], &BASE64, 50),
    open("npm-token", &["npm_"], &ALNUM, 36),
    open("pypi-token", &["pypi-AgE"], &URL64, 50),
    open("rubygems", &["rubygems_"], &HEX, 48),
    fixed("crates-io", &["cio"], &ALNUM, 32, 32),
    open("nuget", &["oy2"], &ALNUM, 43),
    open("docker", &["dckr_pat_", "dckr_oat_"], &URL64, 27),
    fixed("pulumi", &["pul-"], &HEX, 40, 40),
    scan("terraform", &[".atlasv1."], shapes::terraform),
    open("vault", &["hvs.", "hvb.", "hvr."], &URL64, 24),
    open("doppler", &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa."], &DOTTED, 40),
    open("1password", &["ops_eyJ"], &BASE64, 100),
    open("tailscale", &["tskey-"], &DASHED, 20),
    weak("adafruit", &["aio_"], &ALNUM, 28),
    weak("openshift", &["sha256~"], &URL64, 43),
    scan("azure-devops", &["AZDO"], shapes::azure_devops),
    weak("1password", &["A3-"], &UPPER_DASHED, 32),
    weak("clojars", &["CLOJARS_"], &ALNUM, 60),
    weak("infracost", &["ico-"], &ALNUM, 32),
    weak("scalingo", &["tk-us-"], &URL64, 48),
    weak("bitbucket", &["BBDC-"], &BASE64, 40),
    weak("neon", &["napi_"], &ALNUM, 40),
    // Models.
    open("anthropic", &["sk-ant-"], &URL64, 20),
    weak("openai", &["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-"], &URL64, 20),
    weak("openrouter", &["sk-or-v1-", "sk-or-"], &URL64, 32),
    weak("openai", &["sk-"], &URL64, 20),
    open("hugging-face", &["hf_", "api_org_"], &ALNUM, 34),
    open("groq", &["gsk_"], &ALNUM, 40),
    open("xai", &["xai-"], &ALNUM, 60),
    open("perplexity", &["pplx-"], &ALNUM, 32),
    fixed("replicate", &["r8_"], &ALNUM, 37, 37),
    open("langsmith", &["lsv2_pt_", "lsv2_sk_"], &WORD, 32),
    open("nvidia", &["nvapi-"], &URL64, 60),
    open("cerebras", &["csk-"], &ALNUM, 40),
    open("pinecone", &["pcsk_"], &WORD, 40),
    open("tavily", &["tvly-"], &URL64, 28),
    open("jina", &["jina_"], &URL64, 40),
    fixed("firecrawl", &["fc-"], &HEX, 32, 32),
    fixed("elevenlabs", &["sk_"], &HEX, 48, 48),
    open("together", &["tgp_v1_"], &URL64, 40),
    weak("fireworks", &["fw_"], &ALNUM, 22),
    weak("apify", &["apify_api_"], &ALNUM, 30),
    weak("e2b", &["e2b_"], &HEX, 40),
    weak("wandb", &["wandb_v1_"], &WORD, 40),
    weak("browserbase", &["bb_live_", "bb_test_"], &URL64, 20),
    open("baidu", &["bce-v3/"], &SLASHED, 40),
    // Talking and mailing.
    weak("slack-token", &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxo-", "xoxc-", "xoxd-"], &BASE64, 10),
    weak("slack-token", &["xoxe-", "xoxe.", "xapp-"], &DOTTED, 10),
    value("slack-webhook", &["hooks.slack.com/"], shapes::webhook_path),
    value("teams-webhook", &["webhook.office.com/webhookb2/"], shapes::webhook_path),
    value("chat-webhook", &["/bot/v2/hook/", "/cgi-bin/webhook/send?key="], shapes::webhook_key),
    scan("facebook", &["EAA"], shapes::facebook),
    weak("resend", &["re_"], &WORD, 30),
    value("discord-webhook", &["/api/webhooks/"], shapes::discord_webhook),
    scan("telegram-bot", &[":AA"], shapes::telegram_bot),
    scan("sendgrid", &["SG."], shapes::sendgrid),
    fixed("twilio", &["SK"], &HEX, 32, 32),
    fixed("mailgun", &["key-"], &HEX, 32, 32),
    scan("mailchimp", &["-us"], shapes::mailchimp),
    open("brevo", &["xkeysib-", "xsmtpsib-"], &DASHED, 64),
    open("firebase-messaging", &[":APA91b"], &URL64, 100),
    // Money and shops.
    open("stripe", &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"], &BASE64, 16),
    open("square", &["sq0atp-", "sq0csp-"], &URL64, 22),
    fixed("shopify", &["shpat_", "shpss_", "shpca_", "shppa_"], &HEX, 32, 32),
    open("flutterwave", &["FLWSECK"], &URL64, 16),
    open("easypost", &["EZAK", "EZTK"], &ALNUM, 54),
    open("duffel", &["duffel_live_", "duffel_test_"], &URL64, 40),
    open("shippo", &["shippo_live_", "shippo_test_"], &HEX, 40),
    open("plaid", &["access-sandbox-", "access-production-", "access-development-"], &URL64, 30),
    scan("paypal", &["access_token$production$", "access_token$sandbox$"], shapes::braintree),
    fixed("lob", &["live_", "test_"], &HEX, 35, 35),
    weak("gocardless", &["live_", "sandbox_"], &URL64, 40),
    // Data, monitoring, work.
    scan("airtable", &["pat"], shapes::airtable),
    weak("hubspot", &["pat-na1-", "pat-na2-", "pat-eu1-"], &DASHED, 36),
    weak("new-relic", &["NRII-", "NRJS-", "NRBR-", "NRRA-"], &URL64, 19),
    weak("frameio", &["fio-u-"], &URL64, 64),
    weak("posthog", &["phx_", "phs_"], &ALNUM, 40),
    weak("dbt", &["dbtc_", "dbtu_"], &URL64, 30),
    weak("databricks", &["dapi"], &DASHED, 32),
    open("grafana", &["glsa_", "glc_"], &BASE64, 32),
    fixed("new-relic", &["NRAK-"], &ALNUM, 27, 27),
    open("sentry", &["sntrys_", "sntryu_"], &BASE64, 40),
    open("planetscale", &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"], &DOTTED, 32),
    open("supabase", &["sbp_", "sb_secret_"], &WORD, 20),
    open("postman", &["PMAK-"], &DASHED, 40),
    open("linear", &["lin_api_", "lin_oauth_"], &ALNUM, 32),
    weak("notion", &["ntn_"], &ALNUM, 40),
    open("figma", &["figd_", "figu_"], &URL64, 36),
    open("dropbox", &["sl.u.", "sl.B"], &URL64, 60),
    open("sonar", &["squ_", "sqp_", "sqa_"], &HEX, 40),
    weak("mapbox", &["sk.eyJ"], &DOTTED, 60),
    open("netlify", &["nfp_"], &ALNUM, 36),
    open("contentful", &["CFPAT-"], &URL64, 40),
    open("typeform", &["tfp_"], &DOTTED, 40),
    open("dynatrace", &["dt0c01.", "dt0s01."], &DOTTED, 60),
    open("prefect", &["pnu_"], &ALNUM, 36),
    open("readme", &["rdme_"], &ALNUM, 60),
    open("sourcegraph", &["sgp_"], &WORD, 40),
    open("buildkite", &["bkua_"], &ALNUM, 40),
    open("circleci", &["CCIPAT_"], &WORD, 40),
    weak("artifactory", &["AKCp"], &ALNUM, 65),
    weak("volcengine", &["AKLT"], &BASE64, 40),
    weak("yandex", &["AQVN", "y0_"], &URL64, 35),
    // The general shapes.
    scan("jwt", &["eyJ"], shapes::jwt),
    value("url-password", &["://", ":\\", "%3A%2F%2F"], shapes::url_password),
    value("bearer", &["bearer"], shapes::bearer),
    value("authorization", &["authorization"], shapes::authorization),
    value("login-password", &["curl ", "sshpass ", "machine "], shapes::command_line_password),
    value("password", &["pass", "pwd", "密码", "密碼", "口令", "パスワード", "비밀번호", "암호"], assignment::password),
    value("secret", &["secret", "token", "key", "credential", "auth"], assignment::secret),
];

//! Praise and complaints in Chinese.

use super::{Clause, Says, is_condition};

/// Chinese statements that it went wrong, whatever their subject.
#[rustfmt::skip]
const COMPLAINTS: &[&str] = &[
    "还是不行", "還是不行", "还是报错", "還是報錯", "仍然报错", "又报错", "又報錯", "依然报错", "一样报错", "没有解决",
    "沒有解決", "没解决", "没修好", "沒修好", "没有修复", "沒有修復", "没修复", "没有修好", "没有生效", "没生效", "还是失败",
    "還是失敗", "还是错", "還是錯", "被你改坏", "弄坏", "改坏了", "更糟", "还是没用", "还是有问题", "还是不对", "还是一样",
    "还有错误", "还有个错误", "还是有错", "不是我要的", "不是我想要的", "也没有用", "也没用",
];

/// Such statements that may as well be about what is asked for; they count where the work is their subject.
#[rustfmt::skip]
const OF_IT: &[&str] = &[
    "不对", "不對", "错了", "錯了", "不行", "没用", "沒用", "没有用", "不工作", "不是这样", "不是這樣", "不起作用", "不太对", "不太對", "不太行",
];

/// Words for the work at the start of a clause.
#[rustfmt::skip]
const WORK: &[&str] = &[
    "你", "这", "這", "那", "它", "还", "還", "又", "也", "都", "完全", "好像", "结果", "結果", "输出", "方向", "感觉",
    "看起来", "改", "写", "寫", "弄", "做", "搞", "仍", "依然", "嗯", "唉", "哎", "根本", "全", "有点", "啊", "呃",
];

/// Whether a clause says that the work went wrong.
pub(super) fn is_complaint(clause: &Clause<'_>) -> bool {
    let text = clause.text;
    if is_condition(text) || ["会", "不会", "假如"].iter().any(|word| text.starts_with(word)) {
        return false;
    }
    let ends = |after: &str| {
        let after =
            after.trim_start_matches(['了', '啊', '呀', '哦', '呢', '嘛', '耶', '吧', '劲', '勁', ' ', '~', '…']);
        after.is_empty() || matches!(after, "的" | "的呀" | "的啊")
    };
    let whole = COMPLAINTS.iter().any(|words| {
        text.find(words).is_some_and(|at| {
            let after = &text[at + words.len()..];
            // What is not solved is a thing in a list where a noun follows.
            let thing = after.starts_with('的') && after.chars().count() > 1 || after.starts_with(['方', '办']);
            !thing && !after.contains('就') && !text[..at].contains(['没', '沒'])
        })
    });
    let of_it = OF_IT.iter().any(|words| {
        text.find(words).is_some_and(|at| {
            let before = text[..at].trim();
            let asks =
                words.ends_with('对') && before.ends_with('对') || words.ends_with('行') && before.ends_with('行');
            let of_work = before.is_empty() || WORK.iter().any(|word| before.starts_with(word));
            // "没有不对" denies it.
            let denied = before.ends_with("没有") || before.ends_with("沒有") || before.ends_with('没');
            let only = before.is_empty() || !clause.hangs;
            of_work && !asks && !denied && only && ends(&text[at + words.len()..])
        })
    });
    whole || of_it
}

/// Statements that it went well.
#[rustfmt::skip]
const PRAISE: &[&str] = &[
    "可以了", "搞定", "完美", "没问题了", "沒問題了", "解决了", "解決了", "成功了", "太好了", "很好", "正常了", "通过了", "通過了",
    "好用了", "修好了", "没有问题了", "完美解决", "能用了", "可以用了", "好了",
];

/// What a clause says of the work where it praises.
pub(super) fn praise(clause: &str) -> Says {
    for words in PRAISE {
        let Some(at) = clause.find(words) else { continue };
        let (before, after) = (clause[..at].trim(), &clause[at + words.len()..]);
        let after = after.trim_start_matches(['了', '啊', '呀', '哦', '啦', '呢', '耶', '~', ' ', '👍', '！', '的']);
        if !after.is_empty()
            || *words == "好了" && !["现在", "终于", "都", "全"].iter().any(|word| before.starts_with(word))
        {
            continue;
        }
        let half = [
            "没",
            "沒",
            "不",
            "未",
            "差点",
            "几乎",
            "差不多",
            "只",
            "一半",
            "部分",
            "基本",
            "勉强",
            "快",
            "本地",
            "本机",
            "还差",
        ];
        if half.iter().any(|word| before.contains(word)) {
            return Says::HalfPraise;
        }
        // "Until it is right", "then it is enough", "let it be right" are orders.
        let order = [
            "就", "等", "要", "让", "讓", "再", "直到", "我", "自己", "请", "谁", "怎么", "应该", "希望", "如何", "才",
        ];
        if before.chars().count() <= 15 && !order.iter().any(|word| before.contains(word)) {
            return Says::Praise;
        }
    }
    Says::Nothing
}

//! What every [`Embedder`] must pass, including those that come later.

use super::{Embedder, Purpose};

/// Texts of many scripts and lengths, from the empty one to one that no model takes in whole.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " \n\t ",
        "a",
        "The deploy failed because the disk was full.",
        "学习记忆：部署失败，因为磁盘已满。",
        "ディスクがいっぱいでした",
        "디스크가 가득 찼습니다",
        "Диск был заполнен, деплой упал",
        "القرص ممتلئ",
        "เต็มดิสก์",
        "👩‍👩‍👧‍👦 e\u{301}\u{301}\u{301} \u{0}\u{fffd}\u{202e}",
        "fn main() { println!(\"{:?}\", x.unwrap_or_default()); } // E0599",
        "[CLS] [SEP] <s> </s> <mask> [UNK] <pad>",
    ]
    .map(str::to_owned)
    .into();
    texts.push("word ".repeat(3000));
    texts.push("x".repeat(5000));
    texts.push("磁".repeat(2000));
    texts
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// Checks the promises of [`Embedder`]: unit vectors of the stated length in the texts' order, one for
/// every text, the same in any company and from any thread, and shares between 0 and 1.
///
/// For tests.
///
/// # Panics
/// With what does not hold.
pub fn check(embedder: &dyn Embedder) {
    assert!(!embedder.id().is_empty(), "an embedder has an id");
    assert!(embedder.dimensions() > 0 && embedder.tokens_max() > 0);
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embed = |purpose, texts: &[&str]| match embedder.embed(purpose, texts) {
        Ok(vectors) => vectors,
        Err(error) => panic!("texts have no vectors: {error}"),
    };
    for purpose in [Purpose::Query, Purpose::Passage] {
        assert!(embed(purpose, &[]).is_empty(), "no texts have no vectors");
        let together = embed(purpose, &texts);
        assert_eq!(together.len(), texts.len(), "one vector for each text");
        for (text, vector) in texts.iter().zip(&together) {
            let start = &text[..text.floor_char_boundary(40)];
            assert_eq!(vector.len(), embedder.dimensions(), "{start:?}");
            assert!((dot(vector, vector) - 1.0).abs() < 1e-5, "{start:?} is not a unit vector");
            let alone = embed(purpose, &[text]);
            assert!(dot(vector, &alone[0]) > 0.9999, "{start:?} depends on its company");
        }
        let mut reversed = texts.clone();
        reversed.reverse();
        let mut backwards = embed(purpose, &reversed);
        backwards.reverse();
        for (a, b) in together.iter().zip(&backwards) {
            assert!(dot(a, b) > 0.9999, "vectors are not in the texts' order");
        }
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for (a, b) in embed(purpose, &texts[..8]).iter().zip(&together) {
                        assert!(dot(a, b) > 0.9999, "threads disturb each other");
                    }
                });
            }
        });
    }
    for text in texts {
        let share = embedder.unknown_share(text);
        assert!((0.0..=1.0).contains(&share), "a share of {share}");
    }
    assert_eq!(embedder.unknown_share(""), 0.0, "a text without tokens has no unknown ones");
}

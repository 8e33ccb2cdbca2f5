//! The table of the distribution spec's rules is complete in itself: each names a test that exists, or says `later`.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn each_rule_of_the_spec_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tests = BTreeSet::new();
    let files = std::fs::read_dir(root.join("it")).unwrap().map(|e| e.unwrap().path());
    for file in files.filter(|f| f.is_file()) {
        let source = std::fs::read_to_string(file).unwrap();
        for piece in source.split("#[test]\n").skip(1) {
            let name = piece.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap();
            tests.insert(name.to_owned());
        }
    }
    let table = std::fs::read_to_string(root.join("spec/distribution-1.1.tsv")).unwrap();
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for (number, line) in table.lines().enumerate().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let fine = match columns[..] {
            [section, level, rule, test] => {
                !section.is_empty()
                    && matches!(level, "MUST" | "SHOULD")
                    && seen.insert((section, rule))
                    && rule.len() > 10
                    && (test == "later" || tests.contains(test))
            }
            _ => false,
        };
        if !fine {
            wrong.push(format!("line {}: {line}", number + 1));
        }
    }
    assert!(wrong.is_empty(), "rows without a test or 'later', or not of four columns:\n{}", wrong.join("\n"));
    assert!(seen.len() > 60, "the table has only {} rows", seen.len());
}

#[test]
fn every_code_is_one_of_the_spec() {
    let known = [
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/registry");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        // `Refusal::new(404, "CODE", …)` is the only way to an error body.
        for piece in source.split("Refusal::new(").skip(1) {
            let mut arguments = piece.trim_start().splitn(2, ',');
            let (status, rest) = (arguments.next().unwrap(), arguments.next().unwrap_or_default());
            if let Some(code) = rest.trim_start().strip_prefix('"').and_then(|r| r.split('"').next())
                && !status.starts_with('5')
            {
                found.insert(code.to_owned());
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    for code in found {
        assert!(known.contains(&code.as_str()), "{code}");
    }
}

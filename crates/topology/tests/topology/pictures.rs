//! DOT, Mermaid and JSON, as they stand.

use crate::text::topology;

const TEXT: &str = "
    internal words-repartition
    source lines input
    processor split lines
    sink to-words words-repartition split
    source words words-repartition
    processor count words
    store counts count
    dynamic out com.example.Chooser count
    pattern p a\"b<.*
    global users users-source users-topic users-keep";

#[test]
fn dot() {
    let expected = r#"digraph topology {
  rankdir=LR;
  node [shape=box];
  subgraph "cluster_sub-topology 0" {
    label="sub-topology 0";
    n0 [label="lines" style=rounded];
    n1 [label="split"];
    n2 [label="to-words" style=rounded];
  }
  subgraph "cluster_sub-topology 1" {
    label="sub-topology 1";
    n3 [label="words" style=rounded];
    s1_1 [label="counts" shape=cylinder];
    n4 [label="count"];
    n5 [label="out" style=rounded];
  }
  subgraph "cluster_sub-topology 2" {
    label="sub-topology 2";
    n6 [label="p" style=rounded];
  }
  subgraph "cluster_sub-topology 3 (global)" {
    label="sub-topology 3 (global)";
    n7 [label="users-source" style=rounded];
    s3_1 [label="users" shape=cylinder];
    n8 [label="users-keep"];
  }
  t0 [label="input" shape=cds];
  t1 [label="words-repartition" shape=cds];
  t2 [label="chosen for each record" shape=cds];
  t3 [label="a\"b<.*" shape=cds];
  t4 [label="users-topic" shape=cds];
  t0 -> n0;
  n0 -> n1;
  n1 -> n2;
  n2 -> t1;
  t1 -> n3;
  n3 -> n4;
  n4 -> s1_1 [style=dashed dir=none];
  n4 -> n5;
  n5 -> t2;
  t3 -> n6;
  t4 -> n7;
  n7 -> n8;
  n8 -> s3_1 [style=dashed dir=none];
}
"#;
    assert_eq!(topology(TEXT).to_dot(), expected);
}

#[test]
fn mermaid() {
    let expected = r#"flowchart LR
  subgraph "sub-topology 0"
    n0("lines")
    n1["split"]
    n2("to-words")
  end
  subgraph "sub-topology 1"
    n3("words")
    s1_1[("counts")]
    n4["count"]
    n5("out")
  end
  subgraph "sub-topology 2"
    n6("p")
  end
  subgraph "sub-topology 3 (global)"
    n7("users-source")
    s3_1[("users")]
    n8["users-keep"]
  end
  t0[/"input"/]
  t1[/"words-repartition"/]
  t2[/"chosen for each record"/]
  t3[/"a#quot;b#lt;.*"/]
  t4[/"users-topic"/]
  t0 --> n0
  n0 --> n1
  n1 --> n2
  n2 --> t1
  t1 --> n3
  n3 --> n4
  n4 -.- s1_1
  n4 --> n5
  n5 --> t2
  t3 --> n6
  t4 --> n7
  n7 --> n8
  n8 -.- s3_1
"#;
    assert_eq!(topology(TEXT).to_mermaid(), expected);
}

#[test]
fn json() {
    let expected = concat!(
        r#"{"subtopologies":["#,
        r#"{"id":0,"global":false,"nodes":["#,
        r#"{"name":"lines","parents":[],"type":"source","topics":["input"]},"#,
        r#"{"name":"split","parents":["lines"],"type":"processor","stores":[]},"#,
        r#"{"name":"to-words","parents":["split"],"type":"sink","topic":"words-repartition"}]},"#,
        r#"{"id":1,"global":false,"nodes":["#,
        r#"{"name":"words","parents":[],"type":"source","topics":["words-repartition"]},"#,
        r#"{"name":"count","parents":["words"],"type":"processor","stores":["counts"]},"#,
        r#"{"name":"out","parents":["count"],"type":"sink","chooser":"com.example.Chooser"}]},"#,
        r#"{"id":2,"global":false,"nodes":["#,
        r#"{"name":"p","parents":[],"type":"source","pattern":"a\"b<.*"}]},"#,
        r#"{"id":3,"global":true,"nodes":["#,
        r#"{"name":"users-source","parents":[],"type":"source","topics":["users-topic"]},"#,
        r#"{"name":"users-keep","parents":["users-source"],"type":"processor","stores":["users"]}"#,
        r#"]}]}"#
    );
    assert_eq!(topology(TEXT).to_json(), expected);
}

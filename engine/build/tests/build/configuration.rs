use oci_spec::image::Config;

use crate::support::Host;

fn config(host: &Host) -> Config {
    host.image().config.config().clone().unwrap()
}

/// Objects in JSON have no order.
fn sorted(list: Option<&Vec<String>>) -> Vec<String> {
    let mut list = list.unwrap().clone();
    list.sort();
    list
}

#[test]
fn the_image_says_how_it_is_run() {
    let host = Host::with_base();
    host.build(
        "FROM base\nARG PORT=80\nENV A=1 B=$FROM_BASE-$A\nENV C $A\nLABEL a.b=\"c d\" e=$A\nEXPOSE $PORT 53/udp\nVOLUME /data [x\n\
         WORKDIR /w\nWORKDIR sub/..\nUSER web:www\nSTOPSIGNAL SIGINT\nENTRYPOINT [\"e\"]\nCMD run $A\nMAINTAINER me\n",
    )
    .unwrap();
    let config = config(&host);
    let env = config.env().clone().unwrap();
    assert!(env.starts_with(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()]));
    assert_eq!(env[1..], ["FROM_BASE=1", "A=1", "B=1-", "C=1"]);
    assert_eq!(config.labels().as_ref().unwrap()["a.b"], "c d");
    assert_eq!(config.labels().as_ref().unwrap()["e"], "1");
    assert_eq!(sorted(config.exposed_ports().as_ref()), ["53/udp", "80/tcp"]);
    assert_eq!(sorted(config.volumes().as_ref()), ["/data", "[x"]);
    assert_eq!(config.working_dir().as_deref(), Some("/w"));
    assert_eq!(config.user().as_deref(), Some("web:www"));
    assert_eq!(config.stop_signal().as_deref(), Some("SIGINT"));
    assert_eq!(config.entrypoint().as_ref().unwrap(), &["e"]);
    assert_eq!(config.cmd().as_ref().unwrap(), &["/bin/sh", "-c", "run $A"]);
    assert_eq!(host.image().config.author().as_deref(), Some("me"));
    assert!(host.path("w").unwrap().is_dir());
}

#[test]
fn an_entry_point_resets_the_command_of_the_base_only() {
    let host = Host::with_base();
    host.build("FROM base\nENV X=1\n").unwrap();
    assert_eq!(config(&host).cmd().as_ref().unwrap(), &["base"]);
    host.build("FROM base\nENTRYPOINT [\"e\"]\n").unwrap();
    assert_eq!(config(&host).cmd(), &None);
    host.build("FROM base\nCMD [\"own\"]\nENTRYPOINT [\"e\"]\n").unwrap();
    assert_eq!(config(&host).cmd().as_ref().unwrap(), &["own"]);
    host.build("FROM base AS a\nCMD [\"own\"]\nFROM a\nENTRYPOINT [\"e\"]\n").unwrap();
    assert_eq!(config(&host).cmd(), &None);
}

#[test]
fn what_is_dropped_or_unused_is_warned_of() {
    let mut host = Host::with_base();
    host.options.args.insert("UNUSED".into(), String::new());
    host.build("FROM base\nHEALTHCHECK CMD true\n").unwrap();
    let log = host.log.take();
    assert!(log.iter().any(|line| line.contains("HEALTHCHECK in the image")), "{log:?}");
    assert!(log.iter().any(|line| line.contains("warning: the build argument `UNUSED`")), "{log:?}");
}

#[test]
fn bad_values_name_their_line() {
    let host = Host::with_base();
    let cases = [
        ("EXPOSE 99999", "line 2: EXPOSE 99999: `99999` is no port"),
        ("USER $NOTHING", "line 2: USER $NOTHING: `` is no user"),
        ("COPY --chmod=9 Dockerfile /", "line 2: COPY --chmod=9 Dockerfile /: `9` is no octal mode"),
        ("ENV A=${B:?missing}", "line 2: ENV A=${B:?missing}: cannot put variables in: B: missing"),
        (
            "WORKDIR /etc/passwd/x",
            "line 2: WORKDIR /etc/passwd/x: `/etc/passwd/x` in the image is no directory",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(host.failure(&format!("FROM base\n{line}\n")).0, expected);
    }
}

#[test]
fn the_history_tells_each_step() {
    let host = Host::with_base();
    host.write("a", "");
    host.build("FROM base\nCOPY --chown=web a /x/\nRUN true\nCMD [\"a\"]\n").unwrap();
    let history = host.image().config.history().clone().unwrap();
    let told: Vec<_> =
        history.iter().map(|entry| (entry.created_by().clone().unwrap(), entry.empty_layer())).collect();
    let expected = [
        ("COPY rootfs /".to_owned(), None),
        ("ENV FROM_BASE=1".to_owned(), Some(true)),
        ("CMD [\"base\"]".to_owned(), Some(true)),
        ("COPY --chown=web a /x/".to_owned(), None),
        ("RUN /bin/sh -c true".to_owned(), Some(true)),
        ("CMD [\"a\"]".to_owned(), Some(true)),
    ];
    assert_eq!(told, expected);
}

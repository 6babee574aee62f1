//! Specs and images that several tests use.

use crate::Host;

/// Where Debian's busybox-static puts it.
const BUSYBOX: &str = "/bin/busybox";

/// With the commands that tests use, since most tests build it.
const DOCKERFILE: &str = r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "for name in $0; do /bin/busybox ln -s busybox /bin/$name; done", \
     "cat cp df echo env false grep head hostname httpd id ip kill ln ls mkdir nc ps rm sh sleep stat tail test touch true wget yes"]
"#;

/// Puts a build context `./busybox` into the source: busybox with its usual commands, and nothing else.
pub fn busybox_image(host: &Host) {
    let context = host.source().join("busybox");
    fs_err::create_dir_all(&context).expect("a directory");
    fs_err::copy(BUSYBOX, context.join("busybox")).expect("busybox-static is installed");
    fs_err::write(context.join("Dockerfile"), DOCKERFILE).expect("a Dockerfile");
}

/// Builds the image `busybox:mine` with Docker's own client, as a person does.
pub fn busybox_in_docker(host: &Host) {
    busybox_image(host);
    let context = host.source().join("busybox");
    host.docker(&["build", "--quiet", "--tag", "busybox:mine", context.to_str().expect("a path in UTF-8")]);
}

/// An app with one container that sleeps, and stops at once when it is told to.
pub fn sleeper(more: &str) -> String {
    format!(
        r#"
[image.busybox]
build = {{ context = "./busybox" }}

[container.main]
image = "busybox"
command = ["sh", "-c", "echo started; trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"]
{more}
"#
    )
}

/// An app with a web server on a port of the host, and a volume.
pub fn web(port: u16, more: &str) -> String {
    format!(
        r#"
[image.busybox]
build = {{ context = "./busybox" }}

[container.web]
image = "busybox"
command = ["httpd", "-f", "-p", "80", "-h", "/data"]
ports = ["{port}:80"]
volumes = ["data:/data"]
stop = {{ signal = "SIGKILL" }}
{more}

[volume.data]
"#
    )
}

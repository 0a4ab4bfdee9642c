//! The deployment files say what they mean: every manifest is a typed Kubernetes object without a stray key, and what
//! they name exists. Never talks to a cluster.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, PersistentVolumeClaim, PodSpec, Probe, Secret, Service, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const READ_SECRET: &str = "lectern-read";
const WRITE_SECRET: &str = "lectern-write";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn base() -> PathBuf {
    project().join("k8s/base")
}

/// Every YAML document below `k8s/`, with its file.
fn documents() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    let mut folders = vec![project().join("k8s")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "yaml") {
                found.extend(parsed(&path).into_iter().map(|document| (path.clone(), document)));
            }
        }
    }
    found
}

fn parsed(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What of `source` is not in `kept`: a key that the type does not know, or a value that it reads differently.
fn lost(source: &Value, kept: &Value, at: &str) -> Vec<String> {
    match (source, kept) {
        (Value::Object(source), Value::Object(kept)) => source
            .iter()
            .flat_map(|(key, value)| match kept.get(key) {
                Some(kept) => lost(value, kept, &format!("{at}.{key}")),
                None => vec![format!("{at}.{key}")],
            })
            .collect(),
        (Value::Array(source), Value::Array(kept)) if source.len() == kept.len() => source
            .iter()
            .zip(kept)
            .enumerate()
            .flat_map(|(index, (source, kept))| lost(source, kept, &format!("{at}[{index}]")))
            .collect(),
        _ if source == kept => Vec::new(),
        _ => vec![at.to_owned()],
    }
}

/// The document as its type reads it.
fn typed<T: DeserializeOwned + Serialize>(document: &Value) -> Result<T, String> {
    let object: T = T::deserialize(document).map_err(|error| error.to_string())?;
    let kept = serde_json::to_value(&object).map_err(|error| error.to_string())?;
    match lost(document, &kept, "").as_slice() {
        [] => Ok(object),
        lost => Err(format!("the type knows no {}", lost.join(", "))),
    }
}

/// Checks a document against the type that it names.
fn check(document: &Value) -> Result<(), String> {
    let kind = (document["apiVersion"].as_str().unwrap_or(""), document["kind"].as_str().unwrap_or(""));
    match kind {
        ("apps/v1", "Deployment") => typed::<Deployment>(document).map(drop),
        ("batch/v1", "Job") => typed::<Job>(document).map(drop),
        ("v1", "ConfigMap") => typed::<ConfigMap>(document).map(drop),
        ("v1", "PersistentVolumeClaim") => typed::<PersistentVolumeClaim>(document).map(drop),
        ("v1", "Secret") => typed::<Secret>(document).map(drop),
        ("v1", "Service") => typed::<Service>(document).map(drop),
        ("v1", "ServiceAccount") => typed::<ServiceAccount>(document).map(drop),
        ("kustomize.config.k8s.io/v1beta1", "Kustomization") => typed::<Kustomization>(document).map(drop),
        _ => Err(format!("no type is known for {kind:?}")),
    }
}

/// What we use of kustomize's own format.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    api_version: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Value>,
    resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    images: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Patch>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    path: String,
}

/// The one object of a kind and name in the base.
fn object<T: DeserializeOwned + Serialize>(kind: &str, name: &str) -> T {
    let base = base();
    let mut matching = documents().into_iter().filter(|(path, document)| {
        path.starts_with(&base) && document["kind"] == kind && document["metadata"]["name"] == name
    });
    let (_, document) = matching.next().unwrap_or_else(|| panic!("there is no {kind} {name}"));
    assert!(matching.next().is_none(), "there are several {kind} {name}");
    typed(&document).unwrap()
}

fn server() -> PodSpec {
    let deployment: Deployment = object("Deployment", "lectern-server");
    deployment.spec.unwrap().template.spec.unwrap()
}

fn ingest() -> PodSpec {
    let job: Job = object("Job", "lectern-ingest");
    job.spec.unwrap().template.spec.unwrap()
}

fn settings() -> BTreeMap<String, String> {
    object::<ConfigMap>("ConfigMap", "lectern-config").data.unwrap()
}

fn only_container(pod: &PodSpec) -> &Container {
    assert_eq!(pod.containers.len(), 1);
    &pod.containers[0]
}

/// The number of a container's named port.
fn port(container: &Container, name: &str) -> i32 {
    let ports = container.ports.as_ref().unwrap();
    let named = ports.iter().find(|port| port.name.as_deref() == Some(name));
    named.unwrap_or_else(|| panic!("no port {name}")).container_port
}

#[test]
fn every_manifest_is_a_typed_object_without_a_stray_key() {
    let documents = documents();
    assert!(documents.len() >= 9, "only {} manifests were found", documents.len());
    let faults: Vec<String> = documents
        .iter()
        .filter_map(|(path, document)| Some(format!("{}: {}", path.display(), check(document).err()?)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_stray_or_mistyped_key_would_be_found() {
    let mut stray: Value =
        serde_json::to_value(object::<Deployment>("Deployment", "lectern-server")).unwrap();
    stray["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = Value::Bool(true);
    let told = check(&stray).unwrap_err();
    assert!(told.contains(".spec.template.spec.containers[0].readynessProbe"), "{told}");

    let mut mistyped: Value = serde_json::to_value(object::<Job>("Job", "lectern-ingest")).unwrap();
    mistyped["spec"]["backoffLimit"] = Value::String("3".to_owned());
    assert!(check(&mistyped).is_err());
}

#[test]
fn the_base_lists_every_manifest_beside_it() {
    let [document]: [Value; 1] = parsed(&base().join("kustomization.yaml")).try_into().unwrap();
    let listed: BTreeSet<String> = typed::<Kustomization>(&document).unwrap().resources.into_iter().collect();
    let there: BTreeSet<String> = fs::read_dir(base())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "kustomization.yaml")
        .collect();
    assert_eq!(listed, there);
}

fn indexed() -> PathBuf {
    project().join("k8s/indexed")
}

/// What the overlay changes of the base's ingest.
fn indexed_job() -> Job {
    let [document]: [Value; 1] = parsed(&indexed().join("ingest-job.yaml")).try_into().unwrap();
    typed(&document).unwrap()
}

#[test]
fn the_overlay_patches_what_the_base_has() {
    let [document]: [Value; 1] = parsed(&indexed().join("kustomization.yaml")).try_into().unwrap();
    let overlay: Kustomization = typed(&document).unwrap();
    assert_eq!(overlay.resources, ["../base"]);
    for Patch { path } in overlay.patches {
        let [patch]: [Value; 1] = parsed(&indexed().join(path)).try_into().unwrap();
        let (kind, name) = (patch["kind"].as_str().unwrap(), patch["metadata"]["name"].as_str().unwrap());
        object::<Value>(kind, name);
    }
    let patched = indexed_job().spec.unwrap().template.spec.unwrap();
    assert_eq!(only_container(&patched).name, only_container(&ingest()).name);
}

#[test]
fn the_workers_of_the_indexed_job_are_as_many_as_its_partitions() {
    let spec = indexed_job().spec.unwrap();
    assert_eq!(spec.completion_mode.as_deref(), Some("Indexed"));
    let completions = spec.completions.unwrap();
    assert!(spec.parallelism.unwrap() <= completions);
    let pod = spec.template.spec.unwrap();
    let container = only_container(&pod);
    let command = container.command.as_ref().unwrap();
    let base = ingest();
    let undivided = only_container(&base).command.as_ref().unwrap();
    assert!(command.starts_with(undivided), "{command:?}");
    let expected =
        ["--partition".to_owned(), format!("$(PARTITION)/{completions}"), "--job".into(), "$(JOB)".into()];
    assert_eq!(command[undivided.len()..], expected);
    let env = container.env.as_ref().unwrap().iter();
    let fields: Vec<(&str, &str)> = env
        .map(|env| {
            let source = env.value_from.as_ref().unwrap().field_ref.as_ref().unwrap();
            (env.name.as_str(), source.field_path.as_str())
        })
        .collect();
    let expected = [
        ("PARTITION", "metadata.annotations['batch.kubernetes.io/job-completion-index']"),
        ("JOB", "metadata.labels['batch.kubernetes.io/controller-uid']"),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn the_documents_of_the_indexed_job_can_be_mounted_on_several_nodes() {
    let [document]: [Value; 1] = parsed(&indexed().join("documents.yaml")).try_into().unwrap();
    let claim: PersistentVolumeClaim = typed(&document).unwrap();
    assert_eq!(claim.spec.unwrap().access_modes, Some(vec!["ReadWriteMany".to_owned()]));
}

#[test]
fn the_server_cannot_read_the_key_that_writes() {
    let (server, ingest) =
        (serde_json::to_string(&server()).unwrap(), serde_json::to_string(&ingest()).unwrap());
    assert!(server.contains(READ_SECRET) && !server.contains(WRITE_SECRET), "{server}");
    assert!(ingest.contains(WRITE_SECRET) && !ingest.contains(READ_SECRET), "{ingest}");
}

#[test]
fn every_secret_file_that_is_named_is_mounted_from_a_secret_that_has_it() {
    for pod in [server(), ingest()] {
        let container = only_container(&pod);
        let files = container.env.as_ref().unwrap().iter().filter(|env| env.name.ends_with("_FILE"));
        for path in files.map(|env| env.value.as_ref().unwrap()) {
            let mount = container.volume_mounts.as_ref().unwrap().iter();
            let mount = mount.clone().find(|mount| path.starts_with(&mount.mount_path)).unwrap();
            let volume = pod.volumes.as_ref().unwrap().iter().find(|it| it.name == mount.name).unwrap();
            let name = volume.secret.as_ref().unwrap().secret_name.as_ref().unwrap();
            let secret: Secret = object("Secret", name);
            let key = path.rsplit('/').next().unwrap();
            assert!(secret.string_data.unwrap().contains_key(key), "{name} has no {key}");
        }
    }
}

#[test]
fn secrets_hold_placeholders_only() {
    for name in [READ_SECRET, WRITE_SECRET] {
        let secret: Secret = object("Secret", name);
        assert!(secret.data.is_none());
        for (key, value) in secret.string_data.unwrap() {
            assert!(value.contains("REPLACE"), "{name}: {key}");
        }
    }
}

#[test]
fn probes_ask_the_admin_listener_where_it_is_bound() {
    let server = server();
    let container = only_container(&server);
    let settings = settings();
    for (name, setting) in [("http", "LECTERN_HTTP__BIND"), ("admin", "LECTERN_HTTP__ADMIN_BIND")] {
        let bound = settings[setting].rsplit(':').next().unwrap();
        assert_eq!(port(container, name).to_string(), bound, "{name}");
    }
    let asks = |probe: &Option<Probe>| {
        let get = probe.as_ref().unwrap().http_get.as_ref().unwrap();
        assert_eq!(get.port, IntOrString::String("admin".to_owned()));
        get.path.clone().unwrap()
    };
    assert_eq!(asks(&container.startup_probe), "/live");
    assert_eq!(asks(&container.liveness_probe), "/live");
    assert_eq!(asks(&container.readiness_probe), "/ready");
}

#[test]
fn the_service_reaches_the_public_port_of_the_server_and_no_other() {
    let service = object::<Service>("Service", "lectern").spec.unwrap();
    let deployment = object::<Deployment>("Deployment", "lectern-server").spec.unwrap();
    let labels = deployment.template.metadata.unwrap().labels.unwrap();
    for (label, value) in service.selector.unwrap() {
        assert_eq!(labels.get(&label), Some(&value));
    }
    let ports = service.ports.unwrap();
    assert_eq!(ports.len(), 1);
    assert_eq!(ports[0].target_port, Some(IntOrString::String("http".to_owned())));
}

#[test]
fn pods_run_without_rights() {
    for pod in [server(), ingest()] {
        let account = pod.service_account_name.as_ref().unwrap();
        let account: ServiceAccount = object("ServiceAccount", account);
        assert_eq!(account.automount_service_account_token, Some(false));
        assert_eq!(pod.automount_service_account_token, Some(false));
        let context = pod.security_context.as_ref().unwrap();
        assert_eq!(context.run_as_non_root, Some(true));
        assert_eq!(context.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
        let container = only_container(&pod);
        let context = container.security_context.as_ref().unwrap();
        assert_eq!(context.read_only_root_filesystem, Some(true));
        assert_eq!(context.allow_privilege_escalation, Some(false));
        assert_eq!(context.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
        let resources = container.resources.as_ref().unwrap();
        assert!(resources.requests.is_some() && resources.limits.is_some());
    }
}

#[test]
fn a_pod_is_given_the_time_that_its_streams_may_take() {
    let server = server();
    let container = only_container(&server);
    let pause = container.lifecycle.as_ref().unwrap().pre_stop.as_ref().unwrap();
    let pause = pause.sleep.as_ref().unwrap().seconds;
    let streams = settings()["LECTERN_HTTP__SHUTDOWN_MS"].parse::<i64>().unwrap() / 1_000;
    assert!(server.termination_grace_period_seconds.unwrap() > pause + streams);
}

/// What we use of the compose format.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    #[serde(rename = "name")]
    _name: String,
    services: BTreeMap<String, ComposeService>,
    volumes: BTreeMap<String, Option<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComposeService {
    image: String,
    build: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Condition>,
    healthcheck: Option<Healthcheck>,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    cap_drop: Vec<String>,
    #[serde(default)]
    read_only: bool,
    #[serde(rename = "command")]
    _command: Option<Vec<String>>,
    #[serde(rename = "tmpfs")]
    _tmpfs: Option<Vec<String>>,
    #[serde(rename = "security_opt")]
    _security_opt: Option<Vec<String>>,
    #[serde(rename = "stop_grace_period")]
    _stop_grace_period: Option<String>,
    #[serde(rename = "restart")]
    _restart: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    condition: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Healthcheck {
    #[serde(rename = "test")]
    _test: Vec<String>,
    #[serde(rename = "interval")]
    _interval: String,
    #[serde(rename = "timeout")]
    _timeout: String,
    #[serde(rename = "retries")]
    _retries: u32,
}

fn compose() -> Compose {
    let text = fs::read_to_string(project().join("compose.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn what_compose_names_exists() {
    let compose = compose();
    for (name, service) in &compose.services {
        let (_, tag) = service.image.rsplit_once(':').unwrap_or_else(|| panic!("{name} is not pinned"));
        assert_ne!(tag, "latest", "{name}");
        for (other, condition) in &service.depends_on {
            let other = compose.services.get(other).unwrap();
            assert!(condition.condition != "service_healthy" || other.healthcheck.is_some());
        }
        for volume in service.volumes.iter().filter(|it| !it.starts_with(['.', '$', '/'])) {
            assert!(compose.volumes.contains_key(volume.split(':').next().unwrap()), "{volume}");
        }
        for published in &service.ports {
            assert!(published.starts_with("127.0.0.1:"), "{name} is open to the network by {published}");
        }
    }
}

#[test]
fn compose_gives_the_server_the_read_only_key_alone() {
    let compose = compose();
    let (server, ingest) = (&compose.services["lectern"], &compose.services["ingest"]);
    let key = |service: &ComposeService| service.environment["LECTERN_STORE__API_KEY"].clone();
    let qdrant = &compose.services["qdrant"].environment;
    assert_eq!(key(server), qdrant["QDRANT__SERVICE__READ_ONLY_API_KEY"]);
    assert_eq!(key(ingest), qdrant["QDRANT__SERVICE__API_KEY"]);
    assert!(server.environment.values().all(|value| !value.contains("WRITE")));
    assert_eq!(server.environment["LECTERN_SQL__URL"], ingest.environment["LECTERN_SQL__URL"]);
    assert_eq!(ingest.profiles, ["ingest"], "the ingest runs when asked to, not at every start");
    for ours in [server, ingest] {
        assert!(ours.read_only && ours.build.is_some());
        assert_eq!(ours.cap_drop, ["ALL"]);
    }
}

#[test]
fn the_image_runs_as_nobody_and_has_both_programs() {
    let dockerfile = fs::read_to_string(project().join("Dockerfile")).unwrap();
    let last_stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    let user = last_stage.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    let pod = server().security_context.unwrap();
    assert_eq!(user, format!("{}:{}", pod.run_as_user.unwrap(), pod.run_as_group.unwrap()));
    let installed = dockerfile.lines().find(|line| line.contains("install --strip")).unwrap();
    assert!(installed.contains("release/lectern ") && installed.contains("release/lectern-ingest"));
}

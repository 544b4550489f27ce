//! The table of attributes.

use super::{Attribute, Type};

const fn text(name: &'static str, description: &'static str) -> Attribute {
    Attribute::text(name, description)
}

const VALUE: Attribute = text("value", "The value.");
const DISPLAY: Attribute = text("display", "The value for people.");
const TYPE: Attribute = text("type", "The purpose, for example work or home.");
const PRIMARY: Attribute =
    Attribute::new("primary", Type::Flag, "Whether it is the preferred value; at most one is.");

const NAME: &[Attribute] = &[
    text("formatted", "The full name."),
    text("familyName", "The family name."),
    text("givenName", "The given name."),
    text("middleName", "The middle name."),
    text("honorificPrefix", "The title before the name."),
    text("honorificSuffix", "What follows the name."),
];

const ADDRESS: &[Attribute] = &[
    text("formatted", "The whole address."),
    text("streetAddress", "The street and the number."),
    text("locality", "The city."),
    text("region", "The state or region."),
    text("postalCode", "The postal code."),
    text("country", "The country, as an ISO 3166-1 code."),
    TYPE,
    PRIMARY,
];

const EMAIL: &[Attribute] = &[VALUE.required(), DISPLAY, TYPE, PRIMARY];
const PHONE: &[Attribute] = &[VALUE, DISPLAY, TYPE, PRIMARY];

const GROUP_OF_USER: &[Attribute] = &[
    text("value", "The id of the group.").read_only().exact(),
    Attribute::new("$ref", Type::Reference(&["Group"]), "The address of the group.").read_only().exact(),
    text("display", "The name of the group.").read_only(),
    text("type", "Always direct: groups contain no groups.").read_only(),
];

const MEMBER: &[Attribute] = &[
    text("value", "The id of the user.").exact(),
    Attribute::new("$ref", Type::Reference(&["User"]), "The address of the user.").exact(),
    text("display", "The name of the user.").read_only(),
    text("type", "Always User: groups contain no groups.").one_of(&["User"]),
];

const MANAGER: &[Attribute] = &[
    text("value", "The id of the manager.").exact(),
    Attribute::new("$ref", Type::Reference(&["User"]), "The address of the manager.").exact(),
    text("displayName", "The name of the manager."),
];

const META: &[Attribute] = &[
    text("resourceType", "The type of the resource.").read_only().exact(),
    Attribute::new("created", Type::Time, "When it was provisioned.").read_only(),
    Attribute::new("lastModified", Type::Time, "When the client last changed it.").read_only(),
    Attribute::new("location", Type::Reference(&["uri"]), "Its address.").read_only().exact(),
    text("version", "Its ETag.").read_only().exact(),
];

/// The attributes that every resource has (RFC 7643 section 3.1).
pub(super) const COMMON: &[Attribute] = &[
    text("schemas", "The schemas of the resource.").list().required().exact().always(),
    text("id", "The identifier.").read_only().exact().always().unique(),
    text("externalId", "The identifier at the client.").exact().unique(),
    Attribute::new("meta", Type::Complex(META), "Facts about the resource.").read_only(),
];

/// The attributes of users.
pub(super) const USER: &[Attribute] = &[
    text("userName", "The name by which the client knows the user.").required().unique(),
    Attribute::new("name", Type::Complex(NAME), "The parts of the user's name."),
    text("displayName", "The name for display."),
    text("nickName", "The casual name."),
    Attribute::new("profileUrl", Type::Reference(&["external"]), "A page about the user.").exact(),
    text("title", "The job title."),
    text("userType", "The relation to the organization, for example Employee."),
    text("preferredLanguage", "The preferred language."),
    text("locale", "The format of numbers and dates."),
    text("timezone", "The time zone, for example Europe/Berlin."),
    Attribute::new("active", Type::Flag, "Whether the account is enabled."),
    Attribute::new(
        "emails",
        Type::Complex(EMAIL),
        "E-mail addresses. The account has the primary one, otherwise that of the type work, otherwise the first. A user whose \
         userName is an e-mail address needs none.",
    )
    .list()
    .required(),
    Attribute::new("phoneNumbers", Type::Complex(PHONE), "Phone numbers.").list(),
    Attribute::new("addresses", Type::Complex(ADDRESS), "Postal addresses.").list(),
    Attribute::new("groups", Type::Complex(GROUP_OF_USER), "The groups of the user.").list().read_only(),
];

/// The attributes of the extension for enterprises.
pub(super) const ENTERPRISE: &[Attribute] = &[
    text("employeeNumber", "The number of the employee."),
    text("costCenter", "The cost center."),
    text("organization", "The organization."),
    text("division", "The division."),
    text("department", "The department."),
    Attribute::new("manager", Type::Complex(MANAGER), "The manager."),
];

/// The attributes of groups.
pub(super) const GROUP: &[Attribute] = &[
    text("displayName", "The name of the group.").required(),
    Attribute::new("members", Type::Complex(MEMBER), "The users in the group.").list(),
];

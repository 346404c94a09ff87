//! The invented people of the samples. Addresses of mail are in domains kept for examples (RFC 2606).

/// One person, with what samples say of them.
pub(super) struct Person {
    pub(super) first: &'static str,
    /// Empty where names have no middle part.
    pub(super) middle: &'static str,
    pub(super) last: &'static str,
    pub(super) gender: &'static str,
    pub(super) born: &'static str,
    pub(super) mail: &'static str,
    pub(super) phone: &'static str,
    pub(super) street: &'static str,
    pub(super) city: &'static str,
    pub(super) region: &'static str,
    pub(super) zip: &'static str,
    pub(super) country: &'static str,
    pub(super) currency: &'static str,
    /// Before tax, a month.
    pub(super) pay: f64,
    pub(super) job: &'static str,
    pub(super) employer: &'static str,
    pub(super) former: &'static str,
    /// Name and number of an identity document.
    pub(super) document: (&'static str, &'static str),
    pub(super) providers: &'static Providers,
}

/// Three providers of one country.
pub(super) struct Providers {
    pub(super) with_login: &'static str,
    /// One that is asked with an id number alone, so that `ACCOUNT_CONNECTED` never comes.
    pub(super) without_login: &'static str,
    pub(super) third: &'static str,
}

const PHILIPPINES: Providers = Providers { with_login: "sss_ph", without_login: "tin_ph", third: "upwork" };
const INDONESIA: Providers =
    Providers { with_login: "bpjstk_id", without_login: "npwp_id", third: "gojek_id" };
const VIET_NAM: Providers = Providers { with_login: "vssid_vn", without_login: "mst_vn", third: "grab_vn" };
const THAILAND: Providers = Providers { with_login: "sso_th", without_login: "tin_th", third: "lineman_th" };

impl Person {
    /// The same person for the same user, always.
    pub(super) fn of(user: &str) -> &'static Self {
        let sum = user.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        &PEOPLE[sum % PEOPLE.len()]
    }

    pub(super) fn name(&self) -> String {
        [self.first, self.middle, self.last]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

const PEOPLE: [Person; 6] = [
    Person {
        first: "Liwayway",
        middle: "Dimaculangan",
        last: "Tañedo",
        gender: "Female",
        born: "1991-05-17",
        mail: "liwayway.tanedo@example.com",
        phone: "+639175550142",
        street: "27 Sampaguita Street",
        city: "Marikina",
        region: "Metro Manila",
        zip: "1807",
        country: "PH",
        currency: "PHP",
        pay: 24_800.0,
        job: "Warehouse Supervisor",
        employer: "Bituin Logistics Inc.",
        former: "Dagat Cold Storage Corp.",
        document: ("UMID", "0111-4782093-6"),
        providers: &PHILIPPINES,
    },
    Person {
        first: "Crisanto",
        middle: "Abrigo",
        last: "Macaraeg",
        gender: "Male",
        born: "1986-11-02",
        mail: "c.macaraeg@example.net",
        phone: "+639285550167",
        street: "Block 4 Lot 11, Sitio Kawayan",
        city: "Cebu City",
        region: "Central Visayas",
        zip: "6000",
        country: "PH",
        currency: "PHP",
        pay: 31_250.0,
        job: "Payroll Analyst",
        employer: "Habagat Foods Corporation",
        former: "Amihan Outsourcing Inc.",
        document: ("UMID", "0028-1904567-3"),
        providers: &PHILIPPINES,
    },
    Person {
        first: "Wulandari",
        middle: "",
        last: "Kusumaningrat",
        gender: "Female",
        born: "1994-08-29",
        mail: "wulandari.k@example.org",
        phone: "+6281255500133",
        street: "Jalan Cempaka Raya No. 18 RT 03 RW 07",
        city: "Bandung",
        region: "Jawa Barat",
        zip: "40263",
        country: "ID",
        currency: "IDR",
        pay: 6_750_000.0,
        job: "Quality Inspector",
        employer: "PT Rimba Sinar Tekstil",
        former: "CV Mega Tunas",
        document: ("KTP", "3273066908940005"),
        providers: &INDONESIA,
    },
    Person {
        first: "Bagas",
        middle: "Prihandono",
        last: "Situngkir",
        gender: "Male",
        born: "1989-01-23",
        mail: "bagas.situngkir@example.com",
        phone: "+6281355500178",
        street: "Jalan Kenari Gang Damai No. 5",
        city: "Medan",
        region: "Sumatera Utara",
        zip: "20151",
        country: "ID",
        currency: "IDR",
        pay: 8_100_000.0,
        job: "Fleet Coordinator",
        employer: "PT Samudra Angkutan Lestari",
        former: "PT Kopi Bukit Toba",
        document: ("KTP", "1271022301890003"),
        providers: &INDONESIA,
    },
    Person {
        first: "Thảo",
        middle: "Ngọc",
        last: "Huỳnh",
        gender: "Female",
        born: "1993-02-12",
        mail: "thao.huynh@example.com",
        phone: "+84905550118",
        street: "Số 312 đường Hoa Phượng, Phường 4",
        city: "Thành phố Hồ Chí Minh",
        region: "Thành phố Hồ Chí Minh",
        zip: "700000",
        country: "VN",
        currency: "VND",
        pay: 12_400_000.0,
        job: "Điều phối vận tải",
        employer: "Công ty TNHH Vận tải Sông Lam",
        former: "Công ty Cổ phần Bánh kẹo Mai Vàng",
        document: ("CCCD", "079193004821"),
        providers: &VIET_NAM,
    },
    Person {
        first: "ศิริพร",
        middle: "",
        last: "วงศ์ดารา",
        gender: "Female",
        born: "1984-06-30",
        mail: "siriporn.w@example.org",
        phone: "+66815550139",
        street: "48/8 ซอยดอกแก้ว ถนนริมธาร",
        city: "เชียงใหม่",
        region: "เชียงใหม่",
        zip: "50000",
        country: "TH",
        currency: "THB",
        pay: 23_500.0,
        job: "ช่างซ่อมบำรุง",
        employer: "บริษัท ลมเย็นเครื่องทำความเย็น จำกัด",
        former: "ห้างหุ้นส่วนจำกัด ช่างพี่น้อง",
        document: ("Thai ID", "3501200784219"),
        providers: &THAILAND,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_person_and_users_are_many() {
        let names: std::collections::BTreeSet<String> = (0..60)
            .map(|number| {
                let user = format!("demo-{number}");
                assert_eq!(Person::of(&user).name(), Person::of(&user).name());
                Person::of(&user).name()
            })
            .collect();
        assert_eq!(names.len(), PEOPLE.len());
        assert!(names.contains("Wulandari Kusumaningrat"), "no double space for the missing part: {names:?}");
    }
}

package demographics

// NumColumns is how many figures an area has.
const NumColumns = 26

// Area holds the figures of one area, by column.
type Area [NumColumns]float32

// Column describes one figure.
type Column struct {
	Name  string // as in CSV
	Title string // for people
	Unit  string
	Help  string  // one sentence
	Max   float64 // inclusive; the least is 0
}

// zipcodeColumn is the column of the CSV that the figures are found by.
const zipcodeColumn = "zipcode"

// Units and the most that a figure in them can be.
const (
	people  = "people"
	dollars = "US dollars"
	percent = "percent"

	maxCount   = 1e9
	maxDollars = 1e9
	maxPercent = 100
)

// columns is the table of figures, in the order of the CSV.
var columns = [NumColumns]Column{
	{"ppltn_qty", "Population", people, "People who live in the area.", maxCount},
	{"urbn_ppltn_qty", "Urban population", people, "People who live in cities.", maxCount},
	{"sbrbn_ppltn_qty", "Suburban population", people, "People who live in suburbs.", maxCount},
	{"farm_ppltn_qty", "Farm population", people, "People who live on farms.", maxCount},
	{"non_farm_qty", "Rural population off farms", people, "People who live in the country, but not on farms.", maxCount},
	{"medn_hshld_incm_amt", "Median household income", dollars, "Median income of a household in a year.", maxDollars},
	{"medn_incm_per_prsn_amt", "Income per person", dollars, "Median income of a person in a year.", maxDollars},
	{"hous_val_amt", "House value", dollars, "Median value of a house by the census.", maxDollars},
	{"edctn_less_than_9_qty", "Less than 9th grade", people, "People who left school before 9th grade.", maxCount},
	{"edctn_9_12_qty", "9th to 12th grade", people, "People who left school in 9th to 12th grade without a diploma.", maxCount},
	{"edctn_high_schl_qty", "High school", people, "People whose highest degree is of a high school.", maxCount},
	{"edctn_some_clg_qty", "Some college", people, "People who went to college and have no degree of it.", maxCount},
	{"edctn_assoc_dgre_qty", "Associate degree", people, "People whose highest degree is an associate's.", maxCount},
	{"edctn_bchlr_dgre_qty", "Bachelor's degree", people, "People whose highest degree is a bachelor's.", maxCount},
	{"edctn_prfsnl_qty", "Professional degree", people, "People with a graduate or professional degree.", maxCount},
	{"per_urbn", "Urban", percent, "Share of people who live in cities.", maxPercent},
	{"per_sbrbn", "Suburban", percent, "Share of people who live in suburbs.", maxPercent},
	{"per_farm", "On farms", percent, "Share of people who live on farms.", maxPercent},
	{"per_non_farm", "Rural off farms", percent, "Share of people who live in the country, but not on farms.", maxPercent},
	{"per_less_than_9", "Less than 9th grade", percent, "Share of people who left school before 9th grade.", maxPercent},
	{"per_9_to_12", "9th to 12th grade", percent, "Share of people who left school in 9th to 12th grade without a diploma.", maxPercent},
	{"per_hsd", "High school", percent, "Share of people whose highest degree is of a high school.", maxPercent},
	{"per_some_clg", "Some college", percent, "Share of people who went to college and have no degree of it.", maxPercent},
	{"per_assoc", "Associate degree", percent, "Share of people whose highest degree is an associate's.", maxPercent},
	{"per_bchlr", "Bachelor's degree", percent, "Share of people whose highest degree is a bachelor's.", maxPercent},
	{"per_prfsnl", "Professional degree", percent, "Share of people with a graduate or professional degree.", maxPercent},
}

// Columns returns the table of figures in the order of [Area]; the caller may
// keep and change the copy.
func Columns() []Column {
	table := columns
	return table[:]
}

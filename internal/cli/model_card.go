package cli

import (
	"fmt"
	"slices"
	"strings"

	"housing/internal/bundle"
	"housing/internal/features"
	"housing/internal/house"
)

// modelCard returns the model card (Mitchell et al. 2019, "Model cards for
// model reporting") in Markdown. All figures are those of the bundle.
func modelCard(b *bundle.Bundle) string {
	m := &b.Manifest
	var card strings.Builder
	say := func(format string, arguments ...any) { fmt.Fprintf(&card, format+"\n", arguments...) }

	say("# Model card: %s\n", m.Version)
	say("## What it is\n")
	say("- A model of what houses sell for: %s, %d trees, %d features, trained by %s on %s.", m.ModelType, m.Trees, len(m.Features), m.Program, m.Created.UTC().Format("2 January 2006"))
	say("- SHA-256 of the bundle: `%s`.", b.Digest)
	say("- The same files and settings give the same bundle to the byte.\n")

	say("## What it is for\n")
	say("- Estimates of the sale price of single houses in the %d zipcodes that it has figures of, as of a day up to %s or soon after, with how sure each is and why.", b.Demographics.Len(), m.NewestSale)
	say("- Not for: other regions; days long after the newest sale, as it has not seen where the market went; commercial property or land; a decision on credit without an appraiser, or wherever the law asks for one. What a change to a house would be worth is not what a reason says: reasons say how the model came to a price.\n")

	say("## What it was trained on\n")
	say("- %d sales up to %s.", m.Sales, m.NewestSale)
	for _, s := range m.Sources {
		say("- %s: %d rows, SHA-256 `%s`.", s.Name, s.Rows, s.SHA256)
	}
	if c := b.Model.Comparables; c != nil {
		say("- The bundle holds %d of the sales, without parcel numbers, to show as comparables: who has it has them.", len(c.Sales))
	} else {
		say("- The bundle holds no sale.")
	}
	var fields []string
	for _, s := range house.Fields() {
		fields = append(fields, s.Name)
	}
	say("- It knows of a house: %s; and the census figures of its zipcode. Nothing about the people who live or lived there.\n", strings.Join(fields, ", "))

	say("## How good it is\n")
	say("On sales that it had not seen; in the cross-validation no house stood on both sides of a split. The ratio study follows the IAAO Standard on Ratio Studies (2013), which accepts a median ratio of 0.90 to 1.10, a COD of 5 to 15, a PRD of 0.98 to 1.03 and a PRB of ±0.05.\n")
	say("| split | sales | fields known | n | R² | RMSE | MAPE | MdAPE | within 10 %% | median ratio | COD | PRD | PRB |")
	say("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, a := range m.Accuracy {
		say("| %s | %s | %s | %d | %.4f | $%.0f | %.2f %% | %.2f %% | %.1f %% | %.3f | %.1f | %.3f | %+.3f |",
			a.Protocol, a.Part, a.Fields, a.Sales, a.R2, a.RMSE, a.MAPE, a.MdAPE, a.PPE10, a.MedianRatio, a.COD, a.PRD, a.PRB)
	}

	if len(m.Segments) > 0 {
		say("\nBy tier of the sale price and by zipcode, of the first line. What went cheap by chance stands in a low tier: even a perfect model leans above 1 there, and below 1 in the highest.\n")
		say("| of | | n | MdAPE | within 10 %% | median ratio | COD |")
		say("|---|---|---|---|---|---|---|")
		for _, g := range m.Segments {
			say("| %s | %s | %d | %.2f %% | %.1f %% | %.3f | %.1f |", g.By, g.Name, g.Sales, g.MdAPE, g.PPE10, g.MedianRatio, g.COD)
		}
	}

	say("\n## How sure it is\n")
	if len(m.Coverage) == 0 {
		say("It gives no intervals.")
	} else {
		say("Intervals are conformal: their scale is that of errors on sales that neither the model nor the interval had seen.\n")
		say("| fields known | n | to be within | were within | mean width | within, by quarter of the price, cheapest first |")
		say("|---|---|---|---|---|---|")
		for _, c := range m.Coverage {
			say("| %s | %d | %.0f %% | %.1f %% | %.1f %% of the price | %s |", c.Fields, c.Sales, 100*c.Level, c.Covered, c.Width, percents(c.ByPrice))
		}
	}

	say("\n## Whom it treats how\n")
	census := 0.0
	for i, name := range m.Features {
		if slices.Contains(features.ReasonsOf(name), features.Neighbourhood) {
			census += m.Importance[i]
		}
	}
	say("- Census figures of zipcodes, such as income and education, make up %.0f %% of what its splits gained: they stand for where a house is, and go along with who lives there.", 100*census)
	say("- The report of the training (report.html, and metrics.json under neighbourhoods) has the ratio study by quarter of the neighbourhood's income and education; `housing train --report full` also measures a model without any census figure, and what that does to these ratios.")
	say("- `housing evaluate --sales NEW.csv --out DIR` measures the same on sales to come.\n")

	say("## What to mind\n")
	say("- Half of the prices are off by more than the MdAPE above. A sale is one bargain between two parties, and no model can know it all.")
	say("- Fields left out are unknown to it: prices are less exact, and intervals wider.")
	say("- Markets move: watch the drift and the outcomes of what was valued, and train anew.")
	return card.String()
}

// percents writes shares in percent, one after the other.
func percents(shares []float64) string {
	written := make([]string, len(shares))
	for i, v := range shares {
		written[i] = fmt.Sprintf("%.1f %%", v)
	}
	return strings.Join(written, ", ")
}

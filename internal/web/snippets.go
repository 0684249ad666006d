package web

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// snippet is the request in one language, to copy.
type snippet struct{ Language, Text string }

// snippets returns the request of the answer for a shell and two languages.
func (a *Answer) snippets() []snippet {
	body := jsontext.Value(a.Body)
	if err := body.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil
	}
	text, url := string(body), strconv.Quote(a.Address+"/v1/valuations")
	var curl, python, golang string
	if a.Guarded {
		curl = "  -H \"Authorization: Bearer $TOKEN\" \\\n"
		python = `, "Authorization": "Bearer " + os.environ["TOKEN"]`
		golang = "request.Header.Set(\"Authorization\", \"Bearer \"+os.Getenv(\"TOKEN\"))\n"
	}
	return []snippet{
		{"curl", "curl -s " + a.Address + "/v1/valuations \\\n" + curl + "  -H 'Content-Type: application/json' \\\n  -d '" + text + "'"},
		{"Python", "import json, os, urllib.request\n\nbody = " + text + "\n" +
			"request = urllib.request.Request(\n    " + url + ", json.dumps(body).encode(),\n    {\"Content-Type\": \"application/json\"" + python + "})\n" +
			"with urllib.request.urlopen(request) as answer:\n    for valuation in json.load(answer)[\"valuations\"]:\n        print(valuation[\"price\"], valuation.get(\"low\"), valuation.get(\"high\"))"},
		{"Go", "body := strings.NewReader(`" + text + "`)\n" +
			"request, err := http.NewRequest(\"POST\", " + url + ", body)\nif err != nil {\n\tlog.Fatal(err)\n}\n" +
			"request.Header.Set(\"Content-Type\", \"application/json\")\n" + golang +
			"answer, err := http.DefaultClient.Do(request)\nif err != nil {\n\tlog.Fatal(err)\n}\n" +
			"defer answer.Body.Close()\nvar out struct {\n\tValuations []struct{ Price, Low, High float64 }\n}\n" +
			"if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {\n\tlog.Fatal(err)\n}\nfmt.Println(out.Valuations[0])"},
	}
}

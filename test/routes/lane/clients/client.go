// Go's net/http as it is.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func ask(method, path string, body io.Reader, tag string) string {
	request, err := http.NewRequest(method, os.Getenv("STEPWELL_URL")+path, body)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err != nil {
		panic(err)
	}
	fmt.Println(answer.StatusCode)
	return answer.Header.Get("ETag")
}

func main() {
	const steps, step = "/v1/runs/client/gradients", `{"gradients":{"w":[1,2]}}`
	ask("GET", "/healthz", nil, "")
	ask("POST", "/v1/runs", strings.NewReader(`{"id":"client","optimizer":"SGD","variables":[{"name":"w","shape":[2]}]}`), "")
	tag := ""
	for count := 0; count < 5; count++ {
		tag = ask("POST", steps, strings.NewReader(step), "")
	}
	// Of unknown length: in chunks.
	ask("POST", steps, io.MultiReader(strings.NewReader(step)), "")
	ask("POST", steps, strings.NewReader("{"), "")
	ask("GET", "/v1/runs/client/variables", nil, tag)
	ask("GET", "/v1/runs/client/variables", nil, `"v6"`)
	ask("HEAD", "/v1/runs/client", nil, "")
	ask("DELETE", "/v1/runs/client", nil, "")
	ask("GET", "/v1/runs/client", nil, "")
}

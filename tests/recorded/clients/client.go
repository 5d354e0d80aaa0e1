// What Go's net/http sends.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
)

func main() {
	var cases struct{ Paths []string }
	text, _ := os.ReadFile(os.Getenv("CASES"))
	json.Unmarshal(text, &cases)
	base, secure := os.Getenv("BASE"), os.Getenv("SECURE_BASE")
	pem, _ := os.ReadFile(os.Getenv("CA"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	plain := &http.Client{Transport: &http.Transport{}}
	other := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	do := func(client *http.Client, method, address string, body io.Reader, fields ...string) {
		request, err := http.NewRequest(method, address, body)
		if err != nil {
			return
		}
		for at := 0; at < len(fields); at += 2 {
			request.Header.Add(fields[at], fields[at+1])
		}
		if answer, err := client.Do(request); err == nil {
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	}
	for _, path := range cases.Paths {
		do(plain, "GET", base+path, nil)
	}
	for _, path := range cases.Paths[:10] {
		do(other, "GET", secure+path, nil)
	}
	do(plain, "POST", base+"/json/go", strings.NewReader(`{"name":"x"}`), "Content-Type", "application/json")
	do(plain, "POST", base+"/plain/go-stream", io.MultiReader(strings.NewReader("a"), strings.NewReader("b")))
	do(plain, "POST", base+"/plain/go-none", nil)
	do(plain, "POST", base+"/plain/go-form", strings.NewReader(url.Values{"a": {"b c"}, "d": {"ü"}}.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	do(plain, "PATCH", base+"/plain/go-patch", strings.NewReader("{}"), "Content-Type", "application/strategic-merge-patch+json")
	do(plain, "DELETE", base+"/plain/go-delete", nil)
	do(plain, "HEAD", base+"/plain/go-head", nil)
	do(plain, "GET", base+"/plain/go-gzip", nil, "Accept-Encoding", "gzip", "If-Modified-Since", "Wed, 01 Jan 2025 00:00:00 GMT")
	do(plain, "PUT", base+"/plain/go-expect", strings.NewReader("x"), "Expect", "100-continue")
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	writer.WriteField("note", "x")
	part, _ := writer.CreateFormFile("file", "ü \"x\".png")
	part.Write([]byte{0x89, 0x50, 0, 255})
	writer.Close()
	do(plain, "POST", base+"/upload/go", bytes.NewReader(form.Bytes()), "Content-Type", writer.FormDataContentType())
	do(other, "POST", secure+"/upload/go", bytes.NewReader(form.Bytes()), "Content-Type", writer.FormDataContentType())
	do(other, "POST", secure+"/json/go", strings.NewReader(`{"name":"x"}`), "Content-Type", "application/json")
	trailing, _ := http.NewRequest("POST", base+"/plain/go-trailers", strings.NewReader("x"))
	trailing.ContentLength = -1
	trailing.Trailer = http.Header{"X-Checksum": {"1"}}
	plain.Do(trailing)
	request, _ := http.NewRequest("GET", base+"/plain/go-cookies", nil)
	request.AddCookie(&http.Cookie{Name: "a", Value: "1"})
	request.AddCookie(&http.Cookie{Name: "b", Value: "two words"})
	request.SetBasicAuth("alice", "open sesame")
	plain.Do(request)
}

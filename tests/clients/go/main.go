// Comes to a broker in each way of a list on stdin, writes and reads; prints what it is told.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

type way struct {
	Name, Servers, Protocol, Mechanism, Password, Topic string
	CA                                                  string `json:"ca"`
	Certificate                                         string
	TokenFile                                           string `json:"token_file"`
}

type told struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

func main() {
	var ways []way
	if err := json.NewDecoder(os.Stdin).Decode(&ways); err != nil {
		panic(err)
	}
	all := []told{}
	for _, each := range ways {
		one := told{Name: each.Name}
		if err := writeAndRead(each); err != nil {
			one.Error = err.Error()
		}
		all = append(all, one)
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		panic(err)
	}
}

func writeAndRead(each way) error {
	options, err := settings(each)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return err
	}
	record := &kgo.Record{Topic: each.Topic, Partition: 0, Value: []byte(each.Name)}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return err
	}
	for {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return err
		}
		for _, found := range fetched.Records() {
			if string(found.Value) == each.Name {
				return nil
			}
		}
	}
}

func settings(each way) ([]kgo.Opt, error) {
	start := map[string]map[int32]kgo.Offset{each.Topic: {0: kgo.NewOffset().AtStart()}}
	options := []kgo.Opt{
		kgo.SeedBrokers(each.Servers),
		kgo.ConsumePartitions(start),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequestRetries(0),
	}
	if each.CA != "" {
		secured, err := trust(each)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(secured))
	}
	if each.Mechanism != "" {
		mechanism, err := proof(each)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

func trust(each way) (*tls.Config, error) {
	pem, err := os.ReadFile(each.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificates in the file")
	}
	config := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if each.Certificate != "" {
		own, err := tls.LoadX509KeyPair(each.Certificate, each.Certificate)
		if err != nil {
			return nil, err
		}
		// Whatever authorities the broker names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	}
	return config, nil
}

func proof(each way) (sasl.Mechanism, error) {
	switch each.Mechanism {
	case "PLAIN":
		return plain.Auth{User: "ann", Pass: each.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: "ann", Pass: each.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: "ann", Pass: each.Password}.AsSha512Mechanism(), nil
	}
	at, err := url.Parse(each.TokenFile)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(at.Path)
	if err != nil {
		return nil, err
	}
	return oauth.Auth{Token: string(token)}.AsMechanism(), nil
}
